package api_test

import (
	"strings"
	"testing"

	"broker/access/audit"
	"broker/access/audit/chain"
	"broker/api/apitest"
	"broker/api/client"
)

func TestAuditAnchors(t *testing.T) {
	kit := apitest.Start(t, nil)
	for _, one := range []struct {
		node string
		head chain.Head
	}{
		{"n1", chain.Head{Chain: "A", Seq: 3, Hash: chain.HashOf([]byte("3"))}},
		{"n1", chain.Head{Chain: "A", Seq: 7, Hash: chain.HashOf([]byte("7"))}},
		{"n2", chain.Head{Chain: "B", Seq: 1, Hash: chain.HashOf([]byte("1"))}},
	} {
		kit.Anchor(t, one.node, one.head)
	}
	c, err := client.New(client.Config{Addresses: []string{kit.URL}, Token: apitest.Token})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		page, err := c.ListAuditAnchors(t.Context(), "", client.ListOptions{Limit: 1, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page.Items {
			got = append(got, one.Node+" "+one.Chain+" "+one.Head)
		}
		cursor = page.NextCursor
	}
	want := []string{"n1 A " + chain.HashOf([]byte("3")).String(), "n1 A " + chain.HashOf([]byte("7")).String(), "n2 B " + chain.HashOf([]byte("1")).String()}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("anchors\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	page, err := c.ListAuditAnchors(t.Context(), "n2", client.ListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Node != "n2" {
		t.Errorf("of one node: %+v, %v", page, err)
	}
	expect(t, 422, kit.URL, "GET", "/api/v1/audit/anchors?cursor=eA", "")
	expect(t, 401, kit.URL, "GET", "/api/v1/audit/anchors", "", "Authorization", "")
}

func TestAuditHash(t *testing.T) {
	kit := apitest.Start(t, nil)
	want, err := audit.Hash(kit.Keyring, "canary")
	if err != nil {
		t.Fatal(err)
	}
	got := expect(t, 200, kit.URL, "POST", "/api/v1/audit/hash", `{"value":"canary"}`)
	if got.json["hash"] != want {
		t.Errorf("hash %v, want %s", got.json["hash"], want)
	}
	if other := expect(t, 200, kit.URL, "POST", "/api/v1/audit/hash", `{"value":"canarz"}`); other.json["hash"] == want {
		t.Error("another value has the same hash")
	}
	expect(t, 422, kit.URL, "POST", "/api/v1/audit/hash", `{"value":""}`)
}
