//go:build mutants

package crashtest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var mutantSeeds = flag.Int("crashtest.mutant-seeds", 40, "how many random worlds to show each mutant")

// edit changes the text of one file.
type edit struct {
	file     string // below the module's root
	old, new string
}

// mutant is a deliberate bug in the engine and the promises that break with it.
type mutant struct {
	name   string
	breaks []string // any of them
	edits  []edit
}

var mutants = []mutant{
	{"the wheel removes before ExpireLeases is applied", []string{"A3", "A7"}, []edit{
		{"broker/expire.go", `		if err == nil && len(over) > 0 {`, `		for _, id := range over {
			var l fsm.Lease
			_ = p.view(func(v *fsm.View) { l, _ = v.Lease(id) })
			if b, release, err := p.backends.use(systemOf(l)); err == nil {
				login, _ := p.loginOf(l)
				b.Revoke(p.ctx, []providers.Login{login})
				release()
			}
		}
		if err == nil && len(over) > 0 {`},
		{"broker/expire.go", "\t\"broker/fsm\"\n", "\t\"broker/fsm\"\n\t\"broker/providers\"\n"},
	}},
	{"the timer alone decides what is over", []string{"A3"}, []edit{
		{"fsm/apply_revoke.go", `l.State == Active && t.now() >= l.ExpiresAt`, `l.State == Active`},
		{"broker/renew.go", `		p.schedule(renewed)`, `		_ = renewed`},
	}},
	{"not found ends an unconfirmed abort", []string{"A1"}, []edit{
		{"fsm/apply_revoke.go", `!l.WasActive() && (!r.Confirmed || t.now() < l.CreateDeadlineAt)`, `false`},
		{"broker/revoker.go", `r.remove(unborn, true)`, `r.remove(unborn, false)`},
		{"broker/revoker.go", `	if !l.WasActive() {`, `	if false {`},
	}},
	{"absence before the create deadline is believed", []string{"A1"}, []edit{
		{"fsm/apply_revoke.go", `t.now() < l.CreateDeadlineAt`, `false`},
		{"broker/removal.go", `notBefore.Time())`, `time.Time{})`},
		{"broker/removal.go", "\t\"slices\"\n", "\t\"slices\"\n\t\"time\"\n"},
		{"broker/removal.go", `			notBefore = max(notBefore, m.lease.CreateDeadlineAt)`, `			_ = notBefore`},
		{"broker/revoker.go", `	if !l.WasActive() {`, `	if false {`},
	}},
	{"giving up after six tries", []string{"A1", "A7"}, []edit{
		{"broker/removal.go", `		m.task.tries++`, `		if m.task.tries++; m.task.tries > 6 {
			_, _, _ = propose[[]fsm.Lease](r.p.ctx, r.p, r.p.self(), &fsm.FinishRevoke{Removed: []fsm.Removed{{ID: m.lease.ID, Confirmed: true}}})
			r.done(m.lease.ID)
			continue
		}`},
	}},
	{"the maker removes after an unknown Activate", []string{"A7"}, []edit{
		{"broker/issue.go", `	case errors.Is(err, ErrOutcomeUnknown):
		return issued, err`, `	case errors.Is(err, ErrOutcomeUnknown):
		if b, release, err := p.backends.use(systemOf(lease)); err == nil {
			b.Revoke(ctx, []providers.Login{{Name: providers.LoginName(lease.Username)}})
			release()
		}
		return issued, err`},
	}},
	{"Activate after the end", []string{"A3"}, []edit{
		{"fsm/apply_lease.go", `	if t.now() >= l.ExpiresAt {
		return "its time`, `	if false {
		return "its time`},
	}},
	{"Renew after the end", []string{"A3"}, []edit{
		{"fsm/apply_lease.go", `if l.State != Active || t.now() >= l.ExpiresAt {`, `if l.State != Active {`},
	}},
	{"Renew beyond the longest time", []string{"A2", "A7"}, []edit{
		{"fsm/apply_lease.go", `if c.ExpiresAt > l.MaxExpiresAt {`, `if false {`},
	}},
	{"no driver for a pending lease of one's own term", []string{"END"}, []edit{
		{"fsm/lease.go", `		return l.CreateDeadlineAt, true`, `		return 0, false`},
	}},
	{"commands of a past term are applied", []string{"A5"}, []edit{
		{"fsm/apply.go", `if c.Term != 0 && c.Term != term {`, `if false {`},
	}},
	{"values are revealed whatever became of Activate", []string{"A4"}, []edit{
		{"broker/issue.go", `	case errors.Is(err, ErrOutcomeUnknown):
		return issued, err
	case err != nil:
		return Issued{}, err`, `	case err != nil:
		return issued, nil`},
	}},
	{"a create goes out though Prepare is unknown", []string{"A7"}, []edit{
		{"broker/issue.go", `		case err != nil:
			return Issued{}, err
		case req.DryRun:`, `		case errors.Is(err, ErrOutcomeUnknown):
			return p.make(ctx, req, pl, fsm.Lease{ID: prepare.ID, Username: prepare.Username, Connection: pl.connection.Name, System: prepare.System, CreateDeadlineAt: p.now().Add(prepare.CreateTTL), ExpiresAt: p.now().Add(prepare.TTL)})
		case err != nil:
			return Issued{}, err
		case req.DryRun:`},
	}},
	{"an unknown removal is a success", []string{"A1"}, []edit{
		{"broker/removal.go", `	if err != nil {
		return fmt.Errorf("removing`, `	if err != nil && classify(err).Kind != providers.KindUnknown {
		return fmt.Errorf("removing`},
	}},
	{"a key stays bound to a lease that came to nothing", []string{"END"}, []edit{
		{"fsm/apply.go", `		case !l.WasActive() && l.State != Pending:
			return nil, false, nil`, `		case false:
			return nil, false, nil`},
	}},
	{"no compare-and-set, no renewing one at a time", []string{"A5"}, []edit{
		{"fsm/apply_lease.go", `if l.Version != c.IfVersion {`, `if false {`},
		{"broker/renew.go", `		if busy == nil {`, `		if true {`},
		{"broker/renew.go", `				close(done)`, `				_ = done`},
	}},
	{"a new leader drives no revoking leases", []string{"END"}, []edit{
		{"broker/takeover.go", `	if err := p.driveRevoking(); err != nil {
		return err
	}
	return p.fillWheel()`, `	return p.fillWheel()`},
		{"broker/expire.go", `	return revoking > uint64(driven)`, `	return false && revoking > uint64(driven)`},
	}},
	{"a login missing from the answer is gone", []string{"A1"}, []edit{
		{"broker/removal.go", `	if !ok {
		return &providers.Error{Kind: providers.KindUnknown, Err: errors.New("the outside system gave no answer for this login")}
	}`, `	_, _ = ok, errors.New`},
	}},
	{"a key is not bound at all", []string{"A4"}, []edit{
		{"fsm/apply.go", `keyed := c.Key != nil && h.recall != nil`, `keyed := c.Key != nil && h.recall != nil && c.Type != TypePrepareLease`},
	}},
	{"answers outlive their leases", []string{"A4"}, []edit{
		{"fsm/apply.go", `l.WasActive() && (l.State != Active || t.now() >= l.ExpiresAt)`, `false`},
		{"broker/issue.go", `if lease.State == fsm.Active && p.now() < lease.ExpiresAt {`, `if lease.WasActive() {`},
		{"fsm/counters.go", `if had && old.State == Active && l.State != Active {`, `if false {`},
	}},
	{"a renewal leaves no event", []string{"A6"}, []edit{
		{"fsm/apply_lease.go", `t.record(Event{Type: EventLeaseRenewed,`, `_ = append([]Event(nil), Event{Type: EventLeaseRenewed,`},
	}},
	{"an ended lease begins its end again", []string{"A5", "A6"}, []edit{
		{"fsm/apply_revoke.go", `	if l.State != Pending && l.State != Active {
		return l, nil
	}`, ``},
	}},
	{"the outside system is extended after the log", []string{"A3"}, []edit{
		{"broker/renew.go", `	if err := p.extend(ctx, lease, end); err != nil {
		return lease, err
	}
	renewed, _, err := propose[fsm.Lease](ctx, p, req, body)
`, `	renewed, _, err := propose[fsm.Lease](ctx, p, req, body)
	if err == nil {
		err = p.extend(ctx, lease, end)
	}
`},
	}},
}

// TestMutants proves the checker: the crash tests fail with every mutant of the engine, and for the
// reason that it gives. The engine's files are exchanged for the compiler only.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Log("mutants are built one by one, which takes a minute or two: not in short mode")
		return
	}
	root, err := filepath.Abs("../..")
	must(err)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			replace := map[string]string{}
			for _, e := range m.edits {
				path := filepath.Join(root, filepath.FromSlash(e.file))
				from := path
				if replace[path] != "" {
					from = replace[path]
				}
				text, err := os.ReadFile(from)
				must(err)
				changed := strings.Replace(string(text), e.old, e.new, 1)
				if changed == string(text) {
					t.Fatalf("%s has changed: the mutant's edit finds no\n%s", e.file, e.old)
				}
				replace[path] = filepath.Join(t.TempDir(), filepath.Base(path))
				must(os.WriteFile(replace[path], []byte(changed), 0o600))
			}
			if out := runMutant(t, replace); !caught(m, out) {
				t.Errorf("not caught by %v:\n%s", m.breaks, tail(out))
			}
		})
	}
}

// runMutant runs the crash tests with files exchanged, and returns what they print.
func runMutant(t *testing.T, replace map[string]string) string {
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	data, err := json.Marshal(map[string]any{"Replace": replace})
	must(err)
	must(os.WriteFile(overlay, data, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay="+overlay, "-count=1", "-failfast", "-run=^(TestOneLease|TestSeeds)$",
		"-crashtest.pairs=60", fmt.Sprintf("-crashtest.seeds=%d", *mutantSeeds), ".")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "every test passes"
	}
	return string(out)
}

func caught(m mutant, out string) bool {
	for _, promise := range m.breaks {
		if strings.Contains(out, "broken: "+promise+":") {
			return true
		}
	}
	return false
}

func tail(out string) string { return out[max(0, len(out)-3000):] }
