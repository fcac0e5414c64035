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
	b.Expect("422")
	b.See("must be an action such as")
}
