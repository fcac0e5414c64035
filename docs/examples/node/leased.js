'use strict';
// A pool of PostgreSQL connections that log in with a lease: node-vault keeps it, pg uses it.
//
//   const signIn = () => vault.approleLogin({ role_id: 'orders', secret_id: secret });
//   const pool = await leased(vault, signIn, 'payments/production/creds/orders-ro', { host: 'db.example', database: 'orders' });
//   …
//   await pool.end();    // revokes

const { Pool } = require('pg');

// How long a lease that was replaced lives on, in seconds. A connection is not handed out again once it is half as old, so
// that a query may take the other half. The secret's default_ttl must be three times as long, or longer.
const OVERLAP = Number(process.env.LEASE_OVERLAP || 60);

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000).unref());

// patiently asks again while there is no answer, or one that says to come back: node-vault does not by itself, and reading
// credentials is safe to repeat.
async function patiently(ask, signIn) {
  for (let signedIn = false; ; ) {
    try {
      return await ask();
    } catch (error) {
      const status = error.response ? error.response.statusCode : 503;
      if (status === 403 && !signedIn) {
        await patiently(signIn, () => {}); // the token has ended
        signedIn = true;
      } else if ([429, 502, 503, 504].includes(status)) {
        await pause(1);
      } else {
        throw error;
      }
    }
  }
}

async function leased(vault, signIn, path, options, { onError = console.error } = {}) {
  const ask = (call) => patiently(call, signIn);
  await patiently(signIn, () => {});
  let lease = await ask(() => vault.read(path));
  let over = false;
  const pool = new Pool({ ...options, user: lease.data.username, password: lease.data.password, maxLifetimeSeconds: OVERLAP / 2 });
  pool.on('error', onError); // an idle connection that breaks is no reason to end

  const revoke = (one) => ask(() => vault.revoke({ lease_id: one.lease_id })).catch(onError); // else it ends by itself

  // turn renews the lease until its longest life leaves less than was asked for, or it is gone, and replaces it.
  async function turn() {
    const whole = lease.lease_duration;
    for (let left = whole; left >= whole - 1; ) {
      await pause(whole / 3);
      if (over) return;
      const renewed = await ask(() => vault.renew({ lease_id: lease.lease_id, increment: whole })).catch((error) => {
        if (error.message !== 'lease not found') throw error;
      });
      left = renewed ? renewed.lease_duration : 0;
    }
    const old = lease;
    lease = await ask(() => vault.read(path));
    pool.options.user = lease.data.username; // of connections that are made from now on
    pool.options.password = lease.data.password;
    setTimeout(() => revoke(old), OVERLAP * 1000).unref();
  }

  (async () => {
    while (!over) {
      await turn().catch(async (error) => { // it may not any more, or its token has ended
        onError(error);
        await pause(5);
      });
    }
  })();

  const end = pool.end.bind(pool);
  pool.end = async () => {
    over = true;
    await end();
    await revoke(lease);
  };
  return pool;
}

module.exports = { leased };
