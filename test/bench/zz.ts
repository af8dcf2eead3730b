import { createOrder, openShop } from "./stand.ts";
const shop = await openShop();
const n = Number(process.argv[2] ?? 32);
for (let r=0;r<4;r++){
const t=performance.now(); let k=0;
await Promise.all(Array.from({length:n}, async()=>{ while(performance.now()-t<1500){ await createOrder(shop,"19.99"); k++; } }));
console.log(n, Math.round(k/1.5));
}
await shop.close();
