// What any Source must satisfy, whatever it reads: run on every adapter against a real chain. A stand brings the
// adapter and the ways its provider can fail; the transfers and what is expected of them are made here.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { LogPage, LogQuery, Source } from "../../src/chains/source.ts";
import type { ChainId } from "../../src/domain/assets.ts";
import { errorCode, Fault } from "../../src/domain/errors.ts";
import type { Anvil } from "./anvil.ts";
import { accounts, type Coin, deployCoin, mined } from "./coin.ts";

/** One way a provider can go wrong. While it lasts, a reading is complete and true, or a Fault. */
export interface Trouble {
  what: string;
  begin(): void;
}

export interface SourceStand {
  chain: ChainId;
  chain_id: number;
  /** The chain behind the provider; a block for each transaction. */
  anvil: Anvil;
  /** An adapter that has learned nothing yet, taking at least 100 blocks per call. */
  source(): Source;
  /** Names its answers and reports may give. */
  providers: readonly string[];
  /** Canonical text of an address, a transaction's hash and a block's hash as anvil writes them. */
  address(hex: string): string;
  tx(hex: string): string;
  block(hex: string): string;
  /** From now on the provider knows nothing above this block, and says so of headers only. */
  lagAt(number: number): void;
  /** From now on one call takes no more than so many blocks; absent where providers have no such limit. */
  capRange?(blocks: number): void;
  /** Blocks the adapter stays behind the newest, because its provider does not tell how far its index has come. */
  behind?: number;
  /** What providers of this kind have no way to answer: the adapter says so by `provider_cannot_answer`. */
  lacks?: readonly ("outgoing" | "balances" | "newest balances")[];
  troubles: readonly Trouble[];
  /** The provider is well again. */
  mend(): void;
  stop(): Promise<void>;
}

const [, payer, shop, stranger, attacker, other_shop] = accounts;
/** More than a double can hold, in a coin of 18 decimals. */
const large = 123_456_789_012_345_678_901_234_567n;
const spare_blocks = 40;

/** Describes what every Source promises, on the stand that `makeStand` sets up once. */
export function sourceContract(name: string, makeStand: () => Promise<SourceStand>): void {
  describe(`${name}, as any source`, () => {
    let stand: SourceStand;
    let source: Source;
    let usdt: Coin;
    let dai: Coin;
    let unwatched: Coin;
    /** The chain's newest block, and the newest the adapter vouches for. */
    let newest: number;
    let head: number;
    let behind: number;
    let sent: { payment: string; pair: string; dai: string; other_shop: string };

    beforeAll(async () => {
      stand = await makeStand();
      const { anvil } = stand;
      usdt = await deployCoin(anvil, 6, "USDT");
      dai = await deployCoin(anvil, 18, "DAI");
      unwatched = await deployCoin(anvil, 6, "USDT");
      for (const coin of [usdt, unwatched]) await coin.mint(payer, 10n ** 12n);
      await dai.mint(payer, 10n ** 30n);
      const payment = await usdt.transfer(payer, shop, 19_900_000n);
      const pair = await usdt.batch(payer, [stranger, shop, other_shop, shop], [1n, 5_000_000n, 7n, 5_000_000n]);
      await usdt.poison(attacker, payer, shop);
      await unwatched.transfer(payer, shop, 19_900_000n);
      await usdt.transfer(payer, stranger, 19_900_000n);
      const dai_payment = await dai.transfer(payer, shop, large);
      const to_other = await usdt.transfer(payer, other_shop, 1n);
      sent = { payment, pair, dai: dai_payment, other_shop: to_other };
      await anvil.rpc("anvil_mine", [`0x${spare_blocks.toString(16)}`]);
      newest = Number(await anvil.rpc("eth_blockNumber"));
      behind = stand.behind ?? 0;
      head = newest - behind;
      source = stand.source();
    });

    afterEach(() => stand.mend());

    afterAll(() => stand.stop());

    /** All that was sent to one shop in both coins. */
    function question(changed: Partial<LogQuery> = {}): LogQuery {
      const tokens = [stand.address(usdt.address), stand.address(dai.address)];
      return { from: 1, to: head, wallets: [stand.address(shop)], tokens, mark: null, ...changed };
    }

    async function header(number: number) {
      const block = (await stand.anvil.rpc("eth_getBlockByNumber", [`0x${number.toString(16)}`, false])) as {
        hash: string;
        timestamp: string;
      };
      return { number, hash: stand.block(block.hash), time: Number(block.timestamp) };
    }

    const told = ({ transferLogs }: LogPage) =>
      transferLogs.map(({ tx_hash, token, units }) => ({ tx_hash, token, units }));

    function toShop() {
      const [usdt_address, dai_address] = [stand.address(usdt.address), stand.address(dai.address)];
      return [
        { tx_hash: stand.tx(sent.payment), token: usdt_address, units: 19_900_000n },
        { tx_hash: stand.tx(sent.pair), token: usdt_address, units: 5_000_000n },
        { tx_hash: stand.tx(sent.pair), token: usdt_address, units: 5_000_000n },
        { tx_hash: stand.tx(sent.dai), token: dai_address, units: large },
      ];
    }

    /** Runs with a chain that is put back afterwards. */
    async function meanwhile(act: () => Promise<void>): Promise<void> {
      const snapshot = await stand.anvil.rpc("evm_snapshot");
      try {
        await act();
      } finally {
        await stand.anvil.rpc("evm_revert", [snapshot]);
      }
    }

    test("all transfers of the contracts to the wallet are answered, oldest first, and no others", async () => {
      const answer = await source.read(question());
      expect(told(answer)).toEqual(toShop());
      expect(answer).toMatchObject({ from: 1, to: head });
      expect(stand.providers).toContain(answer.provider);
    });

    test("several wallets are answered together, each transfer at its own wallet", async () => {
      const wallets = [stand.address(shop), stand.address(other_shop)];
      const { transferLogs } = await source.read(question({ wallets }));
      expect(transferLogs.map(({ wallet, units }) => [wallet, units])).toEqual([
        [wallets[0], 19_900_000n],
        [wallets[0], 5_000_000n],
        [wallets[1], 7n],
        [wallets[0], 5_000_000n],
        [wallets[0], large],
        [wallets[1], 1n],
      ] as [string, bigint][]);
    });

    test("a transfer log has canonical names, its block and the time of that block", async () => {
      const [first] = (await source.read(question())).transferLogs;
      const { blockNumber } = await mined(stand.anvil, sent.payment);
      expect(first).toEqual({
        chain: stand.chain,
        token: stand.address(usdt.address),
        sender: stand.address(payer),
        wallet: stand.address(shop),
        units: 19_900_000n,
        tx_hash: stand.tx(sent.payment),
        log_index: 0,
        block: await header(Number(blockNumber)),
      });
    });

    test("two equal transfers in one transaction are two, each at its own place in the receipt", async () => {
      const { transferLogs } = await source.read(question());
      const [receipt] = await source.receipts([stand.tx(sent.pair)]);
      const pair = transferLogs.filter(({ tx_hash }) => tx_hash === stand.tx(sent.pair));
      const positions = pair.map(({ log_index }) => receipt?.logs.findIndex((log) => log.log_index === log_index));
      expect(positions).toEqual([1, 3]);
      expect(receipt?.block).toEqual({ number: pair[0]?.block.number ?? -1, hash: pair[0]?.block.hash ?? "" });
    });

    test("transfers of value zero are counted and left out", async () => {
      expect((await source.read(question())).zero_value).toBe(1);
    });

    test("transfers that leave a wallet are answered on the other side, own moves on both", async () => {
      const asked = question({ wallets: [stand.address(payer), stand.address(shop)], side: "out" });
      if (stand.lacks?.includes("outgoing") === true) {
        return expect(await codeOfFailure(source.read(asked))).toBe("provider_cannot_answer");
      }
      const { transferLogs, zero_value } = await source.read(asked);
      const [from_payer, to_stranger] = [stand.address(payer), stand.address(stranger)];
      expect(transferLogs.map(({ sender }) => sender)).toEqual(transferLogs.map(() => from_payer));
      expect(transferLogs.map(({ units }) => units)).toEqual([
        19_900_000n,
        1n,
        5_000_000n,
        7n,
        5_000_000n,
        19_900_000n,
        large,
        1n,
      ]);
      expect(transferLogs.filter(({ wallet }) => wallet === to_stranger)).toHaveLength(2);
      expect(zero_value).toBe(1);
      expect((await source.read(question({ side: "out" }))).transferLogs).toEqual([]);
    });

    test("balances are those of the block asked for, null where the contract was not there yet", async () => {
      const holding = { wallet: stand.address(shop), token: stand.address(usdt.address) };
      const asked = source.balances([holding, { ...holding, token: stand.address(dai.address) }], head);
      if (stand.lacks?.includes("balances") === true) {
        return expect(await codeOfFailure(asked)).toBe("provider_cannot_answer");
      }
      const now = await asked;
      expect(now).toMatchObject({ block: await header(head), units: [29_900_000n, large] });
      expect(stand.providers).toContain(now.provider);
      const paid = Number((await mined(stand.anvil, sent.payment)).blockNumber);
      const others = [
        holding,
        { ...holding, wallet: stand.address(payer) },
        { ...holding, token: stand.address(stranger) },
      ];
      expect((await source.balances(others, paid)).units).toEqual([19_900_000n, 10n ** 12n - 19_900_000n, null]);
      expect((await source.balances([holding], paid - 1)).units).toEqual([0n]);
      expect((await source.balances([holding], 0)).units).toEqual([null]);
      expect((await source.balances([], head)).units).toEqual([]);
      expect(await codeOfFailure(source.balances([holding], head + 1))).toBe("provider_lagging");
    });

    test("where a later block will do, balances name the one they are of", async () => {
      const holding = { wallet: stand.address(shop), token: stand.address(usdt.address) };
      const nobody = { ...holding, token: stand.address(stranger) };
      const asked = source.balances([holding, nobody], head - 5, true);
      if (stand.lacks?.includes("newest balances") === true) {
        return expect(await codeOfFailure(asked)).toBe("provider_cannot_answer");
      }
      const { block, units } = await asked;
      expect(units).toEqual([29_900_000n, null]);
      expect(block).toEqual(await header(stand.lacks?.includes("balances") === true ? newest : head - 5));
      expect(await codeOfFailure(source.balances([holding], newest + 1, true))).toBe("provider_lagging");
    });

    test("without contracts or without wallets nothing is found", async () => {
      expect((await source.read(question({ tokens: [] }))).transferLogs).toEqual([]);
      expect((await source.read(question({ wallets: [] }))).transferLogs).toEqual([]);
    });

    test("only blocks of the range are answered, both its ends included", async () => {
      const block = Number((await mined(stand.anvil, sent.pair)).blockNumber);
      const units = async (from: number, to: number) =>
        (await source.read(question({ from, to }))).transferLogs.map((transferLog) => transferLog.units);
      expect(await units(block, block)).toEqual([5_000_000n, 5_000_000n]);
      expect(await units(block + 1, block + 1)).toEqual([]);
      expect(await units(1, block - 1)).toEqual([19_900_000n]);
    });

    test("the headers of the end and of the mark come with the answer", async () => {
      const answer = await source.read(question({ from: 3, to: head - 2, mark: 2 }));
      expect(answer.end).toEqual(await header(answer.to));
      expect(answer.mark).toEqual(await header(2));
      expect((await source.read(question())).mark).toBeNull();
    });

    test("reading on from each answer misses nothing and repeats nothing", async () => {
      stand.capRange?.(3);
      const fresh = stand.source();
      const found = [];
      for (let from = 1; from <= head; ) {
        const answer = await fresh.read(question({ from }));
        expect(answer.from).toBe(from);
        expect(answer.to).toBeGreaterThanOrEqual(from);
        expect(answer.to).toBeLessThanOrEqual(head);
        if (stand.capRange !== undefined) expect(answer.to - from).toBeLessThan(3);
        found.push(...told(answer));
        from = answer.to + 1;
      }
      expect(found).toEqual(toShop());
    });

    test("a provider that does not know the last block yet answers nothing", async () => {
      stand.lagAt(newest - 1);
      const before = await header(head - 1);
      expect(await codeOfFailure(stand.source().read(question()))).toBe("provider_lagging");
      expect((await stand.source().read(question({ to: head - 1 }))).end).toEqual(before);
    });

    test("a range beyond the head is refused", async () => {
      expect(await codeOfFailure(source.read(question({ from: head + 1, to: head + 5 })))).toBe("provider_lagging");
    });

    test("whatever goes wrong at the provider, an answer is the whole truth or a Fault", async () => {
      expect(stand.troubles.length).toBeGreaterThan(0);
      for (const { what, begin } of stand.troubles) {
        begin();
        const outcome = await stand
          .source()
          .read(question())
          .catch((error: unknown) => error);
        stand.mend();
        if (outcome instanceof Fault) expect(outcome.code).toMatch(/^provider_|^wrong_chain_id$/);
        else expect({ what, found: told(outcome as LogPage) }).toEqual({ what, found: toShop() });
      }
    });

    test("a block that was replaced shows in its mark, and its transfer is gone from range and receipts", async () => {
      await meanwhile(async () => {
        const hash = stand.tx(await usdt.transfer(payer, shop, 7_000_000n));
        const block = Number(await stand.anvil.rpc("eth_blockNumber"));
        if (behind > 0) await stand.anvil.rpc("anvil_mine", [`0x${behind.toString(16)}`]);
        const asked = question({ from: block, to: block, mark: block });
        const before = await source.read(asked);
        expect(before.transferLogs.map(({ tx_hash }) => tx_hash)).toEqual([hash]);
        expect((await source.receipts([hash]))[0]?.success).toBe(true);

        await stand.anvil.rpc("anvil_reorg", [1 + behind, []]);
        const after = await source.read(asked);
        expect(after.mark).toEqual(await header(block));
        expect(after.mark?.hash).not.toBe(before.mark?.hash);
        expect(after.transferLogs).toEqual([]);
        expect(await source.receipts([hash])).toEqual([null]);
      });
    });

    test("heads are those of the chain; a tag that was not asked for is null, and none is ahead", async () => {
      const heads = await source.heads(["finalized"]);
      expect(heads.latest).toEqual(await header(head));
      expect(heads.safe).toBeNull();
      const final = heads.finalized ?? expect.unreachable("there is a finalized block");
      expect(final.number).toBeLessThan(head);
      expect(final).toEqual(await header(final.number));
      expect((await source.heads([])).finalized).toBeNull();
      for (const block of Object.values(await source.heads(["safe", "finalized"]))) {
        expect(block?.number ?? 0).toBeLessThanOrEqual(head);
      }
    });

    test("headers come in the order asked, null where there is no such block", async () => {
      expect(await source.blocks([head, newest + 1, 2])).toEqual([await header(head), null, await header(2)]);
      expect(await source.blocks([])).toEqual([]);
    });

    test("receipts come in the order asked, null for what is not mined, with every log at its place", async () => {
      const nothing = stand.tx(`0x${"0".repeat(63)}1`);
      const asked = [stand.tx(sent.pair), nothing, stand.tx(sent.payment)];
      const receipts = await source.receipts(asked);
      expect(receipts.map((receipt) => receipt?.tx_hash ?? null)).toEqual([asked[0] ?? "", null, asked[2] ?? ""]);
      const [token, sender] = [stand.address(usdt.address), stand.address(payer)];
      expect(receipts[0]).toMatchObject({ success: true });
      expect(receipts[0]?.logs.map(({ transfer }) => transfer)).toEqual([
        { token, sender, wallet: stand.address(stranger), units: 1n },
        { token, sender, wallet: stand.address(shop), units: 5_000_000n },
        { token, sender, wallet: stand.address(other_shop), units: 7n },
        { token, sender, wallet: stand.address(shop), units: 5_000_000n },
      ]);
      expect(await source.receipts([])).toEqual([]);
    });

    test("a transaction that failed says so", async () => {
      await meanwhile(async () => {
        const data = `0xa9059cbb${shop.slice(2).padStart(64, "0")}${"f".repeat(64)}`;
        const call = { from: stranger, to: usdt.address, data, gas: "0x30000" };
        const hash = (await stand.anvil.rpc("eth_sendTransaction", [call])) as string;
        await mined(stand.anvil, hash).catch(() => {});
        const [receipt] = await source.receipts([stand.tx(hash)]);
        expect(receipt).toMatchObject({ success: false, logs: [] });
      });
    });

    test("identity is the chain's id and the decimals of each contract, null where there are none", async () => {
      const [six, eighteen, none] = [usdt.address, dai.address, payer].map(stand.address);
      const identity = await source.identity([six ?? "", eighteen ?? "", none ?? ""]);
      expect(identity.chain_id).toBe(stand.chain_id);
      expect([...identity.decimals]).toEqual([
        [six ?? "", 6],
        [eighteen ?? "", 18],
        [none ?? "", null],
      ]);
    });

    test("reports name the providers and count their calls", async () => {
      const fresh = stand.source();
      await fresh.read(question());
      const reports = fresh.reports();
      expect(reports.map(({ provider }) => provider)).toEqual([...stand.providers]);
      expect(reports.reduce((sum, { calls }) => sum + calls, 0)).toBeGreaterThan(0);
      expect(reports.every(({ failures }) => failures === 0)).toBe(true);
    });
  });
}

function codeOfFailure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no failure",
    (error) => errorCode(error),
  );
}
