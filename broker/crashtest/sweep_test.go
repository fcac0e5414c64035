package crashtest

import (
	"fmt"
	"time"

	"broker/providers"
	"broker/providers/providertest"
)

// plant puts a login with our prefix there at an instant, as a restored database does: no lease knows it,
// and the sweep has to remove it.
func (w *world) plant(after time.Duration) {
	w.after(after, func() {
		unique := fmt.Sprintf("planted%d", len(w.planted))
		name := providers.NewLoginName(providers.DefaultPrefix, providers.Cluster4(clusterID), "orders-ro", unique, 63)
		w.planted[name] = true
		w.tracef("     %s is there again", name)
		w.fake.Add(providertest.FakeLogin{System: w.system(), Name: name, ClusterID: clusterID, CanLogin: true})
	})
}
