//go:build mutants

package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var mutantSeeds = flag.Int("crashtest.mutant-seeds", 1000, "how many random worlds to show each mutant")

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
		{"broker/removal.go", `			notBefore = max(notBefore, m.lease.CreateDeadlineAt)`, `			_ = notBefore`},
		{"broker/revoker.go", `	if !l.WasActive() {`, `	if false {`},
	}},
	{"giving up after six tries", []string{"A1", "A7"}, []edit{
		{"broker/removal.go", `		tries, at := r.failedAgain(m.task, silent(m.err))`, `		tries, at := r.failedAgain(m.task, silent(m.err))
		if tries > 6 {
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
	{"one answer stands for a whole batch", []string{"A1"}, []edit{
		{"broker/removal.go", `		if m.err = answerFor(answers, m.login.Name); m.err != nil {
			m.own = alive`, `		if m.err = answerFor(answers, batch[0].login.Name); m.err != nil {
			m.own = alive`},
	}},
	{"old leases follow a replaced connection", []string{"A1"}, []edit{
		{"fsm/apply_config.go", `			n.System = t.meta.Index`, `			_ = n.System`},
	}},
	{"a replaced system is forgotten at once", []string{"END"}, []edit{
		{"fsm/apply_config.go", `if old != n.System && t.Count(systemCounter(n.Name, old)) == 0 {`, `if old != n.System {`},
	}},
	{"a lease becomes active whatever became of its secret", []string{"A3"}, []edit{
		{"fsm/apply_lease.go", `	if _, _, refusal := t.mayIssue(l.Secret, l.Account, l.Labels); refusal != nil {
		return refusal.Message`, `	if _, _, refusal := t.mayIssue(l.Secret, l.Account, l.Labels); false {
		return refusal.Message`},
	}},
	{"what is being deleted is issued and renewed", []string{"A3"}, []edit{
		{"fsm/apply_lease.go", `going(TargetSecret, string(name), s.Going), going(TargetConnection, string(c.Name), c.Going),`, ``},
	}},
	{"a lock stops nothing", []string{"A3"}, []edit{
		{"fsm/apply_lease.go", `		t.locked(s, account, labels),
`, ``},
	}},
	{"a deletion does not wait for its leases", []string{"OPS"}, []edit{
		{"fsm/operation.go", `	if !o.Complete() {`, `	if false {`},
		{"fsm/operation.go", `live := t.liveOf(o.Target); live > 0 {`, `live := t.liveOf(o.Target); false {`},
		{"broker/operation.go", `	if !op.Complete() {
		return nil
	}
`, ``},
	}},
	{"an operation passes pending leases by", []string{"OPS"}, []edit{
		{"fsm/operation.go", `case o.begins() && (l.State == Pending || l.State == Active):`, `case o.begins() && l.State == Active:`},
	}},
	{"nobody carries operations on", []string{"END"}, []edit{
		{"broker/period.go", `	p.goes(p.runOperations)
`, ``},
	}},
	{"revoking goes on during a pause", []string{"PAUSE"}, []edit{
		{"broker/guard.go", `	if until := g.p.pausedUntil(g.system.connection); !until.IsZero() {
		return until, true
	}
	g.mu.Lock()`, `	g.mu.Lock()`},
	}},
	{"one sighting makes an orphan", []string{"A1"}, []edit{
		{"broker/sweep.go", `o.LastSeenAt.Sub(o.FirstSeenAt) >= p.Timing.Quarantine && o.LastSeenAt > o.FirstSeenAt && `, ``},
		{"fsm/sweep.go", `
		o.LastSeenAt > o.FirstSeenAt && o.LastSeenAt.Sub(o.FirstSeenAt) >= quarantine`, ` quarantine >= 0`},
	}},
	{"the sweep reads the ledger before listing, and believes it", []string{"A1", "A3", "A7"}, []edit{
		{"broker/sweep.go", `	var page []fsm.FoundLogin
	for found, err := range`, `	var page []fsm.FoundLogin
	known := map[string]bool{}
	_ = p.view(func(v *fsm.View) {
		for _, l := range v.Leases(fsm.LeaseSelector{}, fsm.LeasePage{Limit: 100_000}) {
			known[l.Username] = l.State.Live()
		}
	})
	for found, err := range`},
		{"broker/sweep.go", `		if page = append(page,`, `		if known[string(found.Name)] {
			continue
		}
		if page = append(page,`},
		{"broker/sweep.go", `body.Unknown = v.UnknownLogins(body.Unknown)`, `_ = v`},
		{"broker/sweep.go", `o.LastSeenAt.Sub(o.FirstSeenAt) >= p.Timing.Quarantine && o.LastSeenAt > o.FirstSeenAt && `, ``},
		{"fsm/sweep.go", `_, live := t.liveLogin(u.Username); live {`, `false {`},
		{"fsm/sweep.go", `ok && !live && o.Ours`, `ok && (live || !live) && o.Ours`},
		{"fsm/sweep.go", `
		o.LastSeenAt > o.FirstSeenAt && o.LastSeenAt.Sub(o.FirstSeenAt) >= quarantine`, ` quarantine >= 0`},
	}},
	{"an orphan is removed without a record", []string{"A7"}, []edit{
		{"broker/sweep.go", `		list, _, err := propose[[]fsm.Lease](ctx, p, p.self(), body)
		if err != nil {
			return adopted, err
		}
		for _, l := range list {`, `		for _, o := range body.Orphans {
			if b, release, err := p.backends.use(system{s.Connection, s.Number}); err == nil {
				b.Revoke(ctx, []providers.Login{{Name: providers.LoginName(o.Username)}})
				release()
			}
		}
		list, _, err := propose[[]fsm.Lease](ctx, p, p.self(), body)
		if err != nil {
			return adopted, err
		}
		for _, l := range list {`},
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
// reason that it gives. The engine's files are exchanged for the compiler only. TestBugsAtTheSeams does
// the same for the log and the outside system.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Log("mutants are built one by one, which takes some minutes: not in short mode")
		return
	}
	root, err := filepath.Abs("../..")
	must(err)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			world, broken := hunt(t, build(t, root, m), m.breaks)
			if broken == "" {
				t.Fatalf("not caught by %v", m.breaks)
			}
			t.Logf("caught %s: %s", world, broken)
		})
	}
}

// build compiles the crash tests with a mutant. An edit that does not fit the sources is an error.
func build(t *testing.T, root string, m mutant) (binary string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(root, filepath.FromSlash(e.file))
		from := path
		if replace[path] != "" {
			from = replace[path]
		}
		text, err := os.ReadFile(from)
		must(err)
		if n := strings.Count(string(text), e.old); n != 1 {
			t.Fatalf("%s has changed: the mutant's edit finds %d times, not once\n%s", e.file, n, e.old)
		}
		replace[path] = filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		must(os.WriteFile(replace[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600))
	}
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "crash.test")
	data, err := json.Marshal(map[string]any{"Replace": replace})
	must(err)
	must(os.WriteFile(overlay, data, 0o600))
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o="+binary, "-overlay="+overlay, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not compile: %s", out)
	}
	return binary
}

// hunt runs the crash tests until a promise out of breaks is broken, and returns what they say of it.
func hunt(t *testing.T, binary string, breaks []string) (where, broken string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // it ends by its seeds, unless the machine is very busy
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.failfast", "-test.run=^(TestOneLease|TestSeeds)$",
		"-crashtest.pairs=60", fmt.Sprintf("-crashtest.seeds=%d", *mutantSeeds))
	out, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if text, isBroken := strings.CutPrefix(line, "broken: "); isBroken && broken == "" {
			promise, _, _ := strings.Cut(text, ":")
			if slices.Contains(breaks, promise) {
				broken = text
			} else {
				t.Logf("found besides: %s", text)
			}
		}
		if text, isPlan := strings.CutPrefix(line, "with the faults "); isPlan && broken != "" {
			return "with the faults " + text, broken
		}
	}
	return "", broken
}
