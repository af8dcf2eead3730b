// which part of an order costs what, on raw SQLite
import { createHash } from "node:crypto";
import { openRaw } from "../../src/storage/database.ts";
import { migrate } from "../../src/storage/migrations.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { uuid7 } from "../../src/wire/uuid.ts";
const variants: [string, string[], boolean, number][] = [
  ["as is", [], true, 0],
  ["no savepoint", [], false, 0],
  ["temp_store=memory", ["temp_store=MEMORY"], true, 0],
  ["cache 64M", ["cache_size=-65536"], true, 0],
  ["cache 64M temp mem", ["cache_size=-65536","temp_store=MEMORY"], true, 0],
  ["ckpt 10000", ["wal_autocheckpoint=10000"], true, 0],
  ["cache64,ckpt 10000,tmp", ["cache_size=-65536","temp_store=MEMORY","wal_autocheckpoint=10000"], true, 0],
];
for (let round=0; round<2; round++)
for (const [name, pragmas, sp] of variants) {
  const f = mkdtempSync("/tmp/benchprof/db-");
  const raw = openRaw(f+"/a.db"); migrate(raw);
  for (const p of pragmas) raw.run("PRAGMA "+p);
  const begin=raw.prepare("BEGIN IMMEDIATE"), commit=raw.prepare("COMMIT"), save=raw.prepare("SAVEPOINT c"), rel=raw.prepare("RELEASE c");
  const sel=raw.prepare("select * from creations where key=?");
  const io=raw.prepare("insert into orders(id,merchant_order_id,amount,status,webhook_url,created_at,expires_at) values(?,?,?,'pending',?,?,?) returning *");
  const del=raw.prepare("delete from creations where expires_at<=?");
  const ic=raw.prepare("insert into creations values(?,?,?,?)");
  const ie=raw.prepare("insert into events(type,order_id,transfer,body,created_at) values('order_created',?,null,'{}',?) returning n");
  const tot=64000; const T=[0,0,0,0,0,0,0];
  const t0=performance.now(); let k=0;
  const P=()=>Bun.nanoseconds();
  while(k<tot){ let a=P(); begin.run(); let b=P(); T[5]+=b-a;
    for(let i=0;i<32;i++){ k++; const now=Date.now(); const id=uuid7(now, crypto.getRandomValues(new Uint8Array(10))); const key="replay:"+createHash("sha256").update("x"+k).digest("hex");
      a=P(); if(sp) save.run(); b=P(); T[6]+=b-a;
      sel.values(key); a=P(); T[0]+=a-b;
      io.values(id,"m-"+k,"19.99","https://x.example/a",now,now+3600000); b=P(); T[1]+=b-a;
      del.run(now); a=P(); T[2]+=a-b;
      ic.run(key,"hash",id,now+360000); b=P(); T[3]+=b-a;
      ie.values(id,now); a=P(); T[4]+=a-b;
      if(sp) rel.run(); b=P(); T[6]+=b-a; }
    a=P(); commit.run(); T[5]+=P()-a; }
  const s=(performance.now()-t0);
  console.log(name.padEnd(24), Math.round(tot/s*1000)+"/s", "us/order: select,order,delete,creation,event,commit,savepoint", T.map(x=>(x/tot/1000).toFixed(1)).join(" "));
  raw.close(); rmSync(f,{recursive:true});
}
