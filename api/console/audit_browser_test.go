package console_test

import (
	"fmt"
	"testing"

	"broker/api/client"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// What somebody is refused at any node shows by itself in the log of the node that refused it; reads show when they
// are asked for.
func TestAuditRecordsInBrowser(t *testing.T) {
	h := consoletest.Start(t)
	node := h.Leader()
	b := h.Browser(node%3+1, h.Token()) // another one
	name, token := h.Person("viewer", "*")
	b.Open(fmt.Sprintf("/ui/audit?node=node%d&account=%s", node, name))
	b.See("No such record")
	_, err := h.ClientOf(token).CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "sneaky/production"})
	if client.Code(err) != "forbidden" {
		t.Fatalf("made by a viewer: %v", err)
	}
	_, err = h.ClientOf(token).IssueLease(t.Context(), consoletest.Secret, types.IssueSpec{})
	if client.Code(err) != "forbidden" {
		t.Fatalf("issued to a viewer: %v", err)
	}
	b.See("lease:issue")
	b.See("environment:create")
	b.See("refused 403")
	b.See("sneaky/production")
	b.Axe()
	b.Shot("audit-records")
	b.Open(fmt.Sprintf("/ui/audit?node=node%d&show=all", node))
	b.See("not refreshed by itself")
	b.See("audit:read")
	b.Axe()
	b.Open("/ui/audit?action=fly")
	b.See("must be an action such as")
	b.Expect("404 (Not Found) " + h.URL(node%3+1) + "/ui/audit?node=gone")
	b.Open("/ui/audit?node=gone")
	b.See(`there is no node "gone"`)
	b.Wait(`inputOf("Log of node").value === "gone"`)

	// Who may not see where logs are anchored is not told that none is.
	reader, token := h.Person("", "")
	_, err = h.Client().CreatePolicy(t.Context(), types.PolicySpec{Name: reader + "-reads", Text: fmt.Sprintf(`permit (principal == Account::"%s", action == Action::"audit:read", resource);`, reader)})
	if err != nil {
		t.Fatal(err)
	}
	r := h.Browser(1, token)
	r.Open("/ui/")
	r.Click("Audit")
	r.At("/ui/audit")
	r.See("How it ended")
	r.Gone("Anchors")
}
