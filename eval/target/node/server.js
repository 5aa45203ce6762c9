// The runtime protocol for one action in JavaScript: a function "main" of its
// event, which answers or promises an object.
"use strict";
const http = require("node:http");
const vm = require("node:vm");

let main;

function init(value) {
  main = vm.runInThisContext(`(function () { ${value.code}\n; return ${value.main || "main"}; })`)();
  return { ok: true };
}

async function run(value) {
  if (!main) throw new Error("not initialized");
  return await main(value);
}

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    let status = 200;
    let answer;
    try {
      const { value } = JSON.parse(Buffer.concat(pieces));
      answer = request.url === "/init" ? init(value) : await run(value);
    } catch (error) {
      status = 502;
      answer = { error: String(error) };
    }
    const body = JSON.stringify(answer);
    response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  });
});
server.keepAliveTimeout = 60000;
server.listen(0, "127.0.0.1", () => console.log(`listening http://127.0.0.1:${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
