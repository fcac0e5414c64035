package postgres_test

import (
	"testing"

	"broker/providers"
	"broker/providers/postgres/postgrestest"
)

// A name that begins like ours may be another cluster's or a person's: only the comment tells.
func TestListTellsWhoseARoleIs(t *testing.T) {
	k := open(t, nil)
	made, _ := k.create(nil)
	foreign, bare := k.prefix+"foreign", k.prefix+"bare"
	k.server.MustExec(t, postgrestest.Database, "CREATE ROLE "+foreign,
		"COMMENT ON ROLE "+foreign+" IS 'broker cluster="+clusterID+"9 lease=x'", "CREATE ROLE "+bare)
	want := map[providers.LoginName]bool{made.Name: true, providers.LoginName(foreign): false, providers.LoginName(bare): false}
	for found, err := range k.List(t.Context(), k.prefix) {
		if ours, listed := want[found.Name]; err != nil || !listed || ours != found.Ours {
			t.Errorf("listed %+v, %v; want %v", found, err, want)
		}
		delete(want, found.Name)
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}
