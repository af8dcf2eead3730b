// Worked examples of the network's signatures, all under one key. The texts were made and signed with other libraries
// than ours; the objects are the protocol's own examples.

import type { Fields } from "./spelling.ts";

export const secret = "1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef";
export const public_key =
  "bb50e2d89a4ed70663d080659fe0ad4b9bc3e06c17a227433966cb59ceee020decddbf6e00192011648d13b1c00af770c0c1bb609d4d3a5c98a43772e0e18ef4";
export const compressed_key = "02bb50e2d89a4ed70663d080659fe0ad4b9bc3e06c17a227433966cb59ceee020d";
export const address = "0x1be31a94361a391bbafb2a4ccd704f57dc04d4bb";
export const empty_hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/** 124 digits: a key that is printed in several places and is none. */
export const short_key = public_key.slice(0, 124);

const coffee = { id: "item_001", name: "Large Coffee", quantity: 2, price: "5.00" };
const croissant = { id: "item_002", name: "Croissant", quantity: 1, price: "5.00" };
const money = { amount: "15.00", currency: "USD" };
const times = { createdAt: 1706313600, expiresAt: 1706400000, accepts: [100, 101, 102] };

/** Body of `POST /orders/create`. */
export const orderRequest: Fields = {
  id: "ord_abc123",
  ocid: 500,
  reference: "store-42",
  ...money,
  items: [coffee, croissant],
  memo: "Table 5",
  expiresAt: 1706400000,
};
export const coffeeOrder: Fields = {
  id: "ord_abc123",
  ocid: 500,
  reference: "store-42",
  ...money,
  items: [coffee, croissant],
  memo: "Table 5",
  ...times,
};
export const plainCoffeeOrder: Fields = { id: "ord_abc123", ocid: 500, ...money, items: [coffee, croissant], ...times };
export const flatOrder: Fields = { id: "ord_abc123", ocid: 500, ...money, ...times };
export const checkoutOrder: Fields = {
  id: "ord_abc123",
  ocid: 500,
  reference: "INV-001",
  amount: "99.99",
  currency: "USD",
  items: [{ id: "item_001", name: "Product A", quantity: 1, price: "99.99" }],
  memo: "Order from Merchant Store",
  ...times,
};
export const transferProof: Fields = {
  amount: "10000.00",
  currency: "UGX",
  from: { ocid: 200, reference: "paypal_tx_123" },
  issuer: 100,
  timestamp: 1706500500,
  to: { ocid: 300, reference: "momo_tx_789" },
  txid: "test_tx_001",
};
export const webhookProof: Fields = {
  txid: "gateway_tx_456",
  issuer: 100,
  from: { ocid: 200, reference: "wallet_tx_123" },
  to: { ocid: 500, reference: "ord_abc123" },
  amount: "15.00",
  currency: "USD",
  timestamp: 1706500500,
  memo: "Payment for ord_abc123",
};
export const walletConfig: Fields = {
  publicKey: public_key,
  endpoint: "https://api.wallet.example/opencharge",
  capabilities: ["checkout.create", "orders.create.session", "transfer.create", "transfer.webhook"],
  settlement: { currencies: ["USD", "EUR"], accepts: [100, 101, 102] },
};
export const unicode: Fields = { é: "x/y", c: [3, { q: '"\\\n', p: null }], b: "Café ☕", a: { z: 1.5, y: 10 } };
export const challenge = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/** The orders as they are spelled when everything is sorted. */
export const spelled = {
  coffeeOrder:
    '{"accepts":[100,101,102],"amount":"15.00","createdAt":1706313600,"currency":"USD","expiresAt":1706400000,"id":"ord_abc123","items":[{"id":"item_001","name":"Large Coffee","price":"5.00","quantity":2},{"id":"item_002","name":"Croissant","price":"5.00","quantity":1}],"memo":"Table 5","ocid":500,"reference":"store-42"}',
  checkoutOrder:
    '{"accepts":[100,101,102],"amount":"99.99","createdAt":1706313600,"currency":"USD","expiresAt":1706400000,"id":"ord_abc123","items":[{"id":"item_001","name":"Product A","price":"99.99","quantity":1}],"memo":"Order from Merchant Store","ocid":500,"reference":"INV-001"}',
  transferProof:
    '{"amount":"10000.00","currency":"UGX","from":{"ocid":200,"reference":"paypal_tx_123"},"issuer":100,"timestamp":1706500500,"to":{"ocid":300,"reference":"momo_tx_789"},"txid":"test_tx_001"}',
  unicode: '{"a":{"y":10,"z":1.5},"b":"Café ☕","c":[3,{"p":null,"q":"\\"\\\\\\n"}],"é":"x/y"}',
};

export interface Vector {
  name: string;
  about: string;
  /** A text, or an object in one form. */
  message: string | { object: Fields; form: "recursive" | "shallow" };
  digest: string;
  signature: string;
}

const request = (...lines: string[]) => lines.join("\n");

export const vectors: Vector[] = [
  {
    name: "V1",
    about: "a request",
    message: request(
      "200",
      "1706500000",
      "req_test123",
      "POST",
      "/opencharge/payment/create",
      "6779770784a6b90aab2c50ad2c48f58eb4d1dc8017e65c5850cdb0869b7060ce",
    ),
    digest: "a51875169505d640b70b0cddb224b4bbb42120a9322abb9951553d2aa0a3fa49",
    signature:
      "08bb6427e9df77920b3c08ba65e7b4d02436ce449441060198a5084f3ca7e82e6c33455681ed53a9125fd2616428a6fb0ecd59e8fc3459175f8759e15e37e9c11b",
  },
  {
    name: "V1x",
    about: "the same with a body hash that is not its body's",
    message: request(
      "200",
      "1706500000",
      "req_test123",
      "POST",
      "/opencharge/payment/create",
      "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592",
    ),
    digest: "47af0b3381b85c84fe75d62e191c1aeaac4fe648e6475dfbb835e3d2e42f05da",
    signature:
      "168f7459735e3cb6e1202c55f8921efb54c7dfda63a62ddba8f3b1ab5745c57201cbbe0ab8d26bcc78a18cd08e9cddaad1c9102fb3e8956fd4f3629add96ada61c",
  },
  {
    name: "V2",
    about: "a proof, recursive",
    message: { object: transferProof, form: "recursive" },
    digest: "de7bd3d228672f527ee55effdeb4d4aeb5c52d343bd87c75461478c34580ae5f",
    signature:
      "65c774ae5d87d2724c698fd11f49d444267b15a513c1d70625c29bf965c33bc03ca45e2b78db7ba01c683f279cb431430d59bd0d4753196992074d0b67ff36921b",
  },
  {
    name: "V2s",
    about: "the same, shallow",
    message: { object: transferProof, form: "shallow" },
    digest: "5f27d27e18164a078d35a87d929a054480785e72bf5de708dc6ef1d00f3aa4f0",
    signature:
      "5a6ef0aae659a2e3b28d7d86e5f5618b07f789defc0aea0b782c7271b07835430e04158f49217f578c3a9dd022fc04ba2bc0890158216911dd33244072c5096b1c",
  },
  {
    name: "V3",
    about: "an order, recursive",
    message: { object: coffeeOrder, form: "recursive" },
    digest: "8966a72514d4f828fe28f7ff08877384c7ecd3eac57f0144a0c846178de2a01d",
    signature:
      "9d586fd024360f6de64a1de5afd634712b5c8a71ecf16c790a38c5a5890b735731e22af451ac45298726ba2ac2b6af5f7ed1d201f6665d2834ad162f8d0d00261b",
  },
  {
    name: "V3s",
    about: "the same, shallow",
    message: { object: coffeeOrder, form: "shallow" },
    digest: "292bb3f962a04d28941b156501c7b1b523801876c12b3a22e337ce209d7315a9",
    signature:
      "7781a4460ff86f11f6cdcc9bd2e7fcbdeb4319d41c39354c4a70e81cd16947221afe3bd5453e3d745c7711a56ed02ae02b8ced6267e3d073abb05f96487573ba1c",
  },
  {
    name: "V3n",
    about: "an order without reference and memo, recursive",
    message: { object: plainCoffeeOrder, form: "recursive" },
    digest: "bb076dc8920efc896654e40f8d5999746ba49c9c06a22e215c42b082192ee8f3",
    signature:
      "5917cddee98110577bcc6a82e21a85481c94db8ad0c75b7d5a73e51352e30080316d3a8a09e51dc733a5d489ea87320f0f4662cd6aee8717a12a49c14b812f6a1b",
  },
  {
    name: "V3ns",
    about: "the same, shallow",
    message: { object: plainCoffeeOrder, form: "shallow" },
    digest: "f71a0b977ff4442aeed2d37ef583cdb748b4bb235303f0e719beeb2534dd6a8d",
    signature:
      "929ada3fd63956d8cff1cd2d59b714e35c2ccf30d7f1c35a3ba901828631b6f37a7dc2870f93d33c91e5fc022aa97fd8fa19b7ab71bad340bb95f22e8227f0051c",
  },
  {
    name: "V3f",
    about: "an order without items",
    message: { object: flatOrder, form: "recursive" },
    digest: "1a494ccf2faf976332b37631d35449ce8b5251987b49db7534efaaf893018324",
    signature:
      "e3f893578e8a86cdaed51cd934ad14a591d4619a193a182ce81e6710df8588b3572ce09581f1489a9213d65393c2d0098184ee50ca97537de261bf393f9cbe7f1c",
  },
  {
    name: "V4",
    about: "an order for a checkout, recursive",
    message: { object: checkoutOrder, form: "recursive" },
    digest: "7a4a7a8ee2df3e56d5e6cce997426e19f393dd1c55c777617e1ff15d7e3df983",
    signature:
      "a669aa1e5551be4d65848178c3947da0763f8b0cca319437e8da07c0828151442139e883e27942d6448e67870db979968a87afb727d8228160d7ada68817dfb81b",
  },
  {
    name: "V4s",
    about: "the same, shallow",
    message: { object: checkoutOrder, form: "shallow" },
    digest: "c9480154415ef13445cd2af8dab18afa73c27d3aa7e1cb3cba7cb242ffbc9c5c",
    signature:
      "c9610102834208168b65b8a36d913dd1076bc5a5d1768c8f5778e7a89820d349300726a228cacf0125a4b65bb16007d9fe284e32dda3c30fd56bd7d7a2c15a8c1b",
  },
  {
    name: "V5",
    about: "a proof for a merchant, recursive",
    message: { object: webhookProof, form: "recursive" },
    digest: "0945a9a8e0b9d3cae6e61649509a736b1c71991ef381957cc0a4214f70790e42",
    signature:
      "7876deba7ee80c206dba8d78a021d60766f47d858dc89997b41ba259ed079e035dada3e8028d435e682dc4f43beb2632a5df172803d6dcaa32bb3de32045de451b",
  },
  {
    name: "V5s",
    about: "the same, shallow",
    message: { object: webhookProof, form: "shallow" },
    digest: "35ae4deff0ecc17ecb0dd2e11c58fffe0b15c2d72d5fd2cf798624fa7817a0c0",
    signature:
      "7a708e7576e4b3288e7de4f85c45ab09caca59c871a451df35f5a2f1c4f56db22f0388e05bfe4c7a13c702c4c70dda1bfe53a393176be39c0d991acbef5878301b",
  },
  {
    name: "V6",
    about: "a configuration, recursive",
    message: { object: walletConfig, form: "recursive" },
    digest: "5001e9217876f464a56b896f32df76e66e42ca6b2e1b284606d1573823efc880",
    signature:
      "8872fff7be6b1ec75232a98297eaedc5b1bc4c76bb478857f512a167dc218f5a4e38373dae2b0312007da0879dd30e00296e21f3165539023eb32a1642f5c1e71c",
  },
  {
    name: "V6s",
    about: "the same, shallow",
    message: { object: walletConfig, form: "shallow" },
    digest: "5dfcffe803ae5bba937f7ce6c946d93e9590509920f7b4fb26e4aa7118c7d401",
    signature:
      "33e892ef74d4d248813e95fbb7ccaef289b7703778e2add515b4ab5b81e5b2fb62c58a4e503bd03ec69379794553dfa73d3c898a15e96643eeae6525c2377a131c",
  },
  {
    name: "V7",
    about: "a request without a body",
    message: request("200", "1706500000", "req_abc123", "GET", "/opencharge/capabilities", empty_hash),
    digest: "b9d099a3dfe8a5296f280da62f394197260faece858e1c0c9386dd636464b10a",
    signature:
      "3298537a49ad512d125183414d46fdd174ff27c5200227e8be90d865dfbacaae6ec2db4394fc0fc163b053bbab45c7e1cdcffb9e8deaca5299400cab9d243b211c",
  },
  {
    name: "V8",
    about: "an answer",
    message: ["500", "1706500600", "200", "b5b7b06086ac6682b4d898880cef3afb639a869e05af4116a74f762cfd2674d8"].join(
      "\n",
    ),
    digest: "8a6faa1b5da5c2983382761689358e5857b84c9569370cf2b4631a2158bbb5ba",
    signature:
      "520debafda68624de29ca290177aa909f4b075042522e9ea652a67312d5a16047b8a1a5668635f6c34e63a1506e44b9269b0ca80c8791a8b0c8f04b7146c086d1b",
  },
  {
    name: "V9",
    about: "a request for an order",
    message: request(
      "200",
      "1706313600",
      "req_abc123",
      "POST",
      "/opencharge/orders/create",
      "c492df07f1240df95ff99feb3dee60e3204feba3a81753a40aa12cd57d79a724",
    ),
    digest: "b27d99480815fd60136ff7fa2d1d27d94eeccbcc63920760eff7c599377de895",
    signature:
      "0ca6c9e428a850f6027de9d773d0578779c00c36e88358d40223961c35fc40cf7ec0f4a6bb9f589052fe94483fb22ea1318dae457783c17f5a5466a5fcb964fc1c",
  },
  {
    name: "V10",
    about: "a request for a checkout",
    message: request(
      "300",
      "1706313600",
      "req_abc124",
      "POST",
      "/opencharge/checkout/create",
      "7a2c7bbf463cde69772002afc372893c1923b6a1a4dc87d60bd1ed4e8ca5ed42",
    ),
    digest: "19becb7ab046a3cbfb0a0a562683183dbeeaa0728d43337971979a00261bee28",
    signature:
      "218fa4037394fda7628a0e318e937b2a527a442931cea3b81d4bc5ba1685c8d302e4e7947ab8bea9398f562830ffbd65708abe1b61bcaeebdd26e2cdde40ce191b",
  },
  {
    name: "V11",
    about: "an onboarding challenge",
    message: challenge,
    digest: "6c86c6aac5fb24bcf5d9939cb7d7d5645ce39418f449e03b262dd4fa14b4b92b",
    signature:
      "fa9593d749869cdcc5be7de4b64eeb00c1a07b856f4b68a42c604c1c8cc5974c25f46b710a33bd1815d1e9c0564f0f80f1f66555c954fb1aca997562d7b9f0ef1b",
  },
  {
    name: "V12",
    about: "letters beyond ASCII and escapes",
    message: { object: unicode, form: "recursive" },
    digest: "543be04b8bf60f60f465c054e470dfcad984858f796b3cab487c28da29d98e61",
    signature:
      "0ab58e145d21f831a583690564475a15434a9ce5a4c9a7982482af33e47ef51f1cea5e2c85169223a65df3fe53f6d4faa37614c73305a3f938de283d6276a3031c",
  },
];

/** A vector by its name. */
export function vector(name: string): Vector {
  const found = vectors.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
}
