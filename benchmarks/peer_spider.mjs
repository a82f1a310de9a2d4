// spider-rs on one site, robots.txt obeyed, nothing kept: node benchmarks/peer_spider.mjs NPM_PREFIX http://127.0.0.1:8000/index.html
import { createRequire } from "node:module";

const [prefix, start] = process.argv.slice(2);
const { Website } = createRequire(`${prefix}/`)("@spider-rs/spider-rs");
const website = new Website(start).withRespectRobotsTxt(true).build();
await website.crawl();
console.log(website.size);
