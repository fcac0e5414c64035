"""A lease that is kept by hvac, for connections that log in with whatever is held when they are made.

    lease = Leased("https://broker.example:8420", "orders", secret, "payments/production/creds/orders-ro", verify="ca.pem")
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(host="db.example", dbname="orders", user=lease["username"], password=lease["password"]),
        pool_recycle=lease.overlap / 2,   # a connection that is older is made anew before it is used
    )
    ...
    lease.close()    # revokes
"""

import logging
import threading

import hvac
import requests

log = logging.getLogger(__name__)

# What says to come back: a broker without a leader, a load balancer without a node, a rate, no answer at all.
AWAY = (
    hvac.exceptions.VaultDown,
    hvac.exceptions.BadGateway,
    hvac.exceptions.RateLimitExceeded,
    requests.ConnectionError,
    requests.Timeout,
)


class Leased:
    """Keeps a lease, from its making until close. Any thread may read values: ``lease["username"]``."""

    def __init__(self, url, role_id, secret_id, path, overlap=60, **options):
        """overlap is how many seconds a lease that was replaced lives on: a query must take less than half of it, and the
        secret's default_ttl must be three times as long, or longer. options are hvac.Client's, e.g. verify."""
        self.overlap = overlap
        self._role, self._secret, self._path = role_id, secret_id, path
        self._client = hvac.Client(url=url, **options)
        self._over = threading.Event()
        self._lease = self._issue()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def __getitem__(self, field):
        return self._lease["data"][field]

    def close(self):
        """Revokes the lease; whatever still uses it is cut off."""
        self._over.set()
        self._thread.join()
        self._revoke(self._lease)

    def _ask(self, call, *arguments, **named):
        """Asks again while there is no answer, or one that says to come back; signs in when there is no good token."""
        signed_in = False
        while True:
            try:
                return call(*arguments, **named)
            except hvac.exceptions.Forbidden:
                if signed_in:
                    raise
                self._ask(self._client.auth.approle.login, role_id=self._role, secret_id=self._secret)
                signed_in = True
            except AWAY:
                if self._over.wait(1):
                    raise

    def _issue(self):
        lease = self._ask(self._client.read, self._path)  # is safe to repeat
        if lease is None:  # what hvac makes of 404
            raise LookupError("there is no secret at " + self._path)
        return lease

    def _revoke(self, lease):
        try:
            self._ask(self._client.sys.revoke_lease, lease["lease_id"])
        except Exception as error:  # it ends by itself
            log.warning("revoking: %s", error)

    def _keep(self):
        while not self._over.is_set():
            try:
                self._turn()
            except Exception as error:  # it may not any more, or there is no answer
                log.warning("keeping a lease of %s: %s", self._path, error)
                self._over.wait(5)

    def _turn(self):
        """Renews until the lease's longest life leaves less than was asked for, or it is gone, and replaces it."""
        whole = left = self._lease["lease_duration"]
        while left >= whole - 1:
            if self._over.wait(whole / 3):
                return
            try:
                left = self._ask(self._client.sys.renew_lease, self._lease["lease_id"], increment=whole)["lease_duration"]
            except hvac.exceptions.InvalidRequest as error:
                if "lease not found" not in str(error):
                    raise
                left = 0
        old, self._lease = self._lease, self._issue()
        timer = threading.Timer(self.overlap, self._revoke, [old])
        timer.daemon = True
        timer.start()
