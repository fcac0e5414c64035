package fsm

import (
	"fmt"
	"testing"
)

// What a lock stops is what revoking behind it reaches: its selector chooses the leases that it covers.
func TestLockSelectorChoosesWhatIsCovered(t *testing.T) {
	p := mustPlay(t,
		`> 4s update_secret {"Name":"payments/production/orders-ro","Labels":{"pci":"yes","tier":"1"}}`,
		`> 5s create_secret {"Name":"payments/production/orders-rw","Connection":"orders-db","Options":"e30=","DefaultTTL":"~1h","MaxTTL":"~2h","Outputs":[{"Key":"RW_USER","Source":"username"}]}`,
	)
	for i, lease := range []string{
		`"Secret":"payments/production/orders-ro","SecretVersion":5`,
		`"Secret":"payments/production/orders-ro","SecretVersion":5,"Labels":{"pci":"no"}`,
		`"Secret":"payments/production/orders-rw","SecretVersion":6,"Labels":{"pci":"yes"}`,
		`"Secret":"payments/production/orders-rw","SecretVersion":6,"Labels":{"pci":""}`,
		`"Secret":"payments/production/orders-rw","SecretVersion":6`,
	} {
		p.play(fmt.Sprintf(`> 10s prepare_lease {"ID":"L%d",%s,"System":3,"Account":"alice","CreateTTL":"~10s","Username":"u%d","Name":"a","TTL":"~1h"}`, i, lease, i), false)
	}
	for _, c := range []struct {
		scope LockScope
		want  int
	}{
		{LockScope{Label: "pci=yes"}, 3},
		{LockScope{Label: "pci=no"}, 1},
		{LockScope{Label: "pci="}, 1},
		{LockScope{Label: "tier=1"}, 2},
		{LockScope{Label: "pci=yes", Secret: "payments/production/orders-rw"}, 1},
		{LockScope{Label: "pci=yes", Environment: "payments/*", Account: "alice", Connection: "orders-db"}, 3},
		{LockScope{Label: "pci=yes", Account: "bob"}, 0},
		{LockScope{Environment: "*"}, 5},
	} {
		mustView(t, p.state, func(v *View) {
			covered := 0
			chosen := map[LeaseID]bool{}
			for _, l := range v.LeasesIn([]LeaseState{Pending, Active}, c.scope.Selector(), "", 10) {
				chosen[l.ID] = true
			}
			for _, l := range v.Leases(LeaseSelector{}, LeasePage{Limit: 10}) {
				secret, _ := v.Secret(l.Secret)
				covers := c.scope.covers(secret, l.Account, l.Labels)
				if covers {
					covered++
				}
				if covers != chosen[l.ID] {
					t.Errorf("%s: lease %s is covered: %v, chosen: %v", c.scope, l.ID, covers, chosen[l.ID])
				}
			}
			if covered != c.want || len(v.Leases(c.scope.Selector(), LeasePage{Limit: 10})) != c.want {
				t.Errorf("%s covers %d leases, want %d", c.scope, covered, c.want)
			}
		})
	}
}
