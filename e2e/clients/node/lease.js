'use strict';
// Uses the broker through node-vault, as programs do: it signs in, keeps a lease for as long as its input is open, and a
// new one whenever that comes to its end. It is told by the environment what the Go clients are told.

const vault = require('node-vault')({ endpoint: process.env.VAULT_ADDR });

const say = (what, lease) => console.log(JSON.stringify({ what, id: lease.lease_id, left: lease.lease_duration || 0 }));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let over = false;
process.stdin.resume();
process.stdin.on('end', () => { over = true; });

// patiently asks again while there is no answer, or one that says to come back.
async function patiently(ask) {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      const status = error.response ? error.response.statusCode : 503;
      if ((status !== 503 && status !== 429) || tries === 20) throw error;
      await pause(500);
    }
  }
}

// gone is what a lease is that ended before it could be renewed.
function gone(error) {
  if (error.message !== 'lease not found') throw error;
}

async function keep() {
  while (!over) {
    const lease = await patiently(() => vault.read(process.env.KEEP));
    say('leased', lease);
    for (let left = lease.lease_duration, before = 0; left > 1 && left >= before && !over; ) {
      await pause(1300);
      const renewed = await patiently(() => vault.renew({ lease_id: lease.lease_id, increment: 4 })).catch(gone);
      if (!renewed) break;
      say('renewed', renewed);
      before = Math.min(left, 4);
      left = renewed.lease_duration;
    }
    await patiently(() => vault.revoke({ lease_id: lease.lease_id }));
    say('revoked', lease);
  }
}

async function main() {
  const login = await patiently(() => vault.approleLogin({ role_id: process.env.ROLE_ID, secret_id: process.env.SECRET_ID }));
  if (vault.token !== login.auth.client_token) throw new Error('the token was not taken');
  await keep();
  await vault.tokenRevokeSelf();
  process.exit(0);
}

main().catch((error) => {
  console.error('error:', error.message);
  process.exit(1);
});
