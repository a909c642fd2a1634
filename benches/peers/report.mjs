// Opens a report in Chromium: 1280 and 390 px wide, light and dark, and in print. Fails on any console message, request or sideways scrolling.
//
//     apt-get install chromium; npm install playwright-core
//     node benches/peers/report.mjs out.html [FOLDER FOR SCREENSHOTS]
//
// Skips with a message when Chromium or playwright-core is not there (CHROMIUM names another one).

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [file, shots] = process.argv.slice(2);
const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
let playwright;
try {
  playwright = createRequire(resolve('.') + '/')('playwright-core');
} catch {
  playwright = undefined;
}
if (!playwright || !existsSync(chromium)) {
  console.error(`skipped: ${playwright ? chromium : 'playwright-core'} is not there`);
  process.exit(0);
}
const address = 'file://' + resolve(file);
const browser = await playwright.chromium.launch({
  executablePath: chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const wrong = [];
for (const width of [1280, 390]) {
  for (const colorScheme of ['light', 'dark']) {
    const page = await (await browser.newContext({ viewport: { width, height: 900 }, colorScheme })).newPage();
    const say = (what) => wrong.push(`${width} ${colorScheme}: ${what}`);
    page.on('console', (message) => say(`console: ${message.text()}`));
    page.on('pageerror', (error) => say(`error: ${error.message}`));
    page.on('dialog', (dialog) => { say(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('request', (request) => { if (request.url() !== address) say(`request: ${request.url()}`); });
    const start = Date.now();
    await page.goto(address);
    // Every service is opened once, then the first times in the tables are jumped to.
    const services = await page.locator('details.service').count();
    for (let i = 0; i < Math.min(services, 20); i++) await page.evaluate((i) => { document.querySelectorAll('details.service')[i].open = true; }, i);
    await page.waitForTimeout(300);
    const drawn = await page.locator('canvas').count();
    if (services > 0 && drawn === 0) say('nothing is drawn');
    for (let i = 0; i < 3; i++) await page.evaluate((i) => document.querySelectorAll('button[data-go]')[i]?.click(), i);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > width) say(`scrolls sideways: ${wide} px`);
    if (shots) await page.screenshot({ path: `${shots}/${width}-${colorScheme}.png`, fullPage: true });
    if (width === 1280 && colorScheme === 'dark') {
      const pdf = await page.pdf({ format: 'A4' });
      if (pdf.length < 10_000) say('prints nothing');
    }
    console.log(`${width} ${colorScheme}: ${services} services, ${drawn} canvases, ${Date.now() - start} ms`);
    await page.close();
  }
}
await browser.close();
for (const line of wrong) console.log(line);
console.log(`${wrong.length} wrong`);
process.exit(wrong.length ? 1 : 0);
