package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/access"
	"broker/access/audit"
	"broker/api"
	"broker/api/apitest"
	"broker/fsm"
)

// BenchmarkGate is a request for a lease's record as an account that may read it, among a thousand accounts and two hundred
// policies: without the gate's questions, with them, and with a record of each request besides. The
// differences are what deciding and recording cost a request.
func BenchmarkGate(b *testing.B) {
	kit := apitest.Start(b, nil)
	crowd(b, kit)
	decider, err := access.New(access.DeciderConfig{State: kit.State})
	if err != nil {
		b.Fatal(err)
	}
	record, err := audit.New(audit.Config{Path: filepath.Join(b.TempDir(), "audit.log"), Node: "n1", Hasher: kit.Keyring})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = record.Close(context.Background()) })
	for _, row := range []struct {
		name       string
		authorizer api.Authorizer
		audit      access.Recorder
	}{
		{"open", api.AllowAll{}, nil},
		{"decided", decider, nil},
		{"decided and recorded", decider, record},
	} {
		server, _ := kit.Another(b, func(c *api.Config) {
			c.Authenticator, c.Authorizer, c.Audit = anyone{}, row.authorizer, row.audit
		})
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/api/v1/environments/payments/production?consistency=stale", nil)
				request.Header.Set("Authorization", fmt.Sprintf("Bearer user%d", i%1000))
				answer := httptest.NewRecorder()
				server.ServeHTTP(answer, request)
				if answer.Code != http.StatusOK {
					b.Fatal(answer.Code, answer.Body)
				}
			}
		})
	}
}

// crowd makes a thousand accounts, each with a role, and two hundred policies.
func crowd(b *testing.B, kit *apitest.Kit) {
	b.Helper()
	index := kit.Index(b)
	apply := func(body fsm.Body) {
		command, err := fsm.NewCommand(body, time.Now(), fsm.Actor{}, 0)
		if err != nil {
			b.Fatal(err)
		}
		data, err := command.Encode()
		if err != nil {
			b.Fatal(err)
		}
		index++
		if result := kit.State.Apply(&raft.Log{Index: index, Term: 1, Data: data}).(*fsm.Result); result.Refusal != nil {
			b.Fatal(result.Refusal)
		}
	}
	apply(&fsm.CreateEnvironment{Name: "payments/production"})
	for i := range 1000 {
		name := fsm.AccountName(fmt.Sprintf("user%d", i))
		apply(&fsm.CreateAccount{Name: name, Kind: fsm.KindUser})
		apply(&fsm.CreateBinding{ID: fsm.BindingID(fmt.Sprintf("B%04d", i)), Role: "viewer", Account: name, Scope: "payments/*"})
	}
	for i := range 200 {
		apply(&fsm.CreatePolicy{Name: fsm.PolicyName(fmt.Sprintf("policy%d", i)), Text: fmt.Sprintf(
			`forbid (principal == Account::"user%d", action, resource in App::"other") when { context.address.isInRange(ip("10.%d.0.0/16")) };`, i*5, i)})
	}
}
