package console_test

import (
	"testing"
	"time"

	"broker/api/console/consoletest"
)

func TestMain(m *testing.M) { consoletest.Main(m) }

// Two people look at the leases, at different nodes: one revokes, the other sees it.
func TestLeasesAreLive(t *testing.T) {
	h := consoletest.Start(t)
	lease := h.Lease("live-one", time.Hour)
	one, other := h.Browser(1, h.Token()), h.Browser(2, h.Token())
	other.Open("/ui/leases?account=admin")
	other.See("live-one")
	other.Live()

	one.Open("/ui/leases")
	one.See(lease.Username[:12])
	one.Axe()
	one.Shot("leases")
	one.Click("Revoke live-one")
	one.See("is deleted at once")
	one.Axe()
	one.Shot("lease-revoke")
	one.Fill("Reason", "no longer needed")
	one.Click("Revoke lease")
	one.See("The lease is revoked")
	one.Gone("live-one")

	other.Gone("live-one")
	other.Click("Ended")
	other.See("live-one")
	other.See("revoked")
}

func TestSignIn(t *testing.T) {
	h := consoletest.Start(t)
	_, token := h.Person("viewer", "*")
	b := h.Browser(1, "")
	b.Open("/ui/leases?state=all")
	b.At("/ui/signin")
	b.Axe()
	b.Shot("signin")
	b.Click("Token")
	b.Fill("Token", "brk_wrong")
	b.Click("Sign in")
	b.See("it is not valid")
	b.Fill("Token", token)
	b.Click("Sign in")
	b.At("/ui/leases")
	b.Gone("Revoke")
	b.Open("/ui/styleguide")
	b.Axe()
	b.Shot("styleguide")
	b.Click("Sign out")
	b.At("/ui/signin")
	b.Open("/ui/leases")
	b.At("/ui/signin")
}
