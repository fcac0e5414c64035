"""Uses the broker through hvac, as programs do: it signs in, keeps a lease for as long as its input is open, and a new one
whenever that comes to its end. It is told by the environment what the other clients are told."""

import json
import os
import sys
import threading
import time

import hvac
import requests

over = threading.Event()


def listen():
    sys.stdin.read()
    over.set()


def say(what, lease):
    print(json.dumps({"what": what, "id": lease["lease_id"], "left": lease.get("lease_duration", 0)}), flush=True)


def patiently(ask, *arguments, **named):
    """Asks again while there is no answer, or one that says to come back."""
    for tries in range(1, 21):
        try:
            return ask(*arguments, **named)
        except (hvac.exceptions.VaultDown, hvac.exceptions.RateLimitExceeded, requests.ConnectionError, requests.Timeout):
            if tries == 20:
                raise
            time.sleep(0.5)


def renew(client, lease):
    """Returns None when the lease ended before."""
    try:
        return patiently(client.sys.renew_lease, lease["lease_id"], increment=4)
    except hvac.exceptions.InvalidRequest as error:
        if "lease not found" not in str(error):
            raise
        return None


def keep(client):
    mount, _, name = os.environ["KEEP"].partition("/creds/")
    while not over.is_set():
        lease = patiently(client.secrets.database.generate_credentials, name, mount_point=mount)
        if not lease["data"]["username"]:
            raise ValueError("there is no name")
        say("leased", lease)
        left, before = lease["lease_duration"], 0
        while left > 1 and left >= before and not over.is_set():
            over.wait(1.3)
            renewed = renew(client, lease)
            if renewed is None:
                break
            say("renewed", renewed)
            before, left = min(left, 4), renewed["lease_duration"]
        patiently(client.sys.revoke_lease, lease["lease_id"])
        say("revoked", lease)


def main():
    threading.Thread(target=listen, daemon=True).start()
    client = hvac.Client(url=os.environ["VAULT_ADDR"])
    patiently(client.auth.approle.login, role_id=os.environ["ROLE_ID"], secret_id=os.environ["SECRET_ID"])
    if not client.is_authenticated() or client.sys.is_sealed():
        raise ValueError("hvac does not see that it is signed in at a broker that serves")
    keep(client)
    client.auth.token.revoke_self()


main()
