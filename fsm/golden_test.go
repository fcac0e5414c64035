package fsm

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// epoch is the beginning of every scenario's time.
const epoch = Instant(1_700_000_000_000)

// newBody makes the body of a command by its name, for scenarios and fuzzing.
var newBody = map[string]func() Body{
	"init_cluster":       func() Body { return new(InitCluster) },
	"create_environment": func() Body { return new(CreateEnvironment) },
	"update_environment": func() Body { return new(UpdateEnvironment) },
	"delete_environment": func() Body { return new(DeleteEnvironment) },
	"create_connection":  func() Body { return new(CreateConnection) },
	"update_connection":  func() Body { return new(UpdateConnection) },
	"delete_connection":  func() Body { return new(DeleteConnection) },
	"create_secret":      func() Body { return new(CreateSecret) },
	"update_secret":      func() Body { return new(UpdateSecret) },
	"delete_secret":      func() Body { return new(DeleteSecret) },
	"prepare_lease":      func() Body { return new(PrepareLease) },
	"activate_lease":     func() Body { return new(ActivateLease) },
	"renew_lease":        func() Body { return new(RenewLease) },
	"begin_revoke":       func() Body { return new(BeginRevoke) },
	"expire_leases":      func() Body { return new(ExpireLeases) },
	"rollback_leases":    func() Body { return new(RollbackLeases) },
	"finish_revoke":      func() Body { return new(FinishRevoke) },
	"record_trouble":     func() Body { return new(RecordTrouble) },
	"prune":              func() Body { return new(Prune) },
	"create_lock":        func() Body { return new(CreateLock) },
	"update_lock":        func() Body { return new(UpdateLock) },
	"delete_lock":        func() Body { return new(DeleteLock) },
	"create_operation":   func() Body { return new(CreateOperation) },
	"advance_operation":  func() Body { return new(AdvanceOperation) },
	"finish_operation":   func() Body { return new(FinishOperation) },
	"cancel_operation":   func() Body { return new(CancelOperation) },
	"retry_lease":        func() Body { return new(RetryLease) },
	"forget_lease":       func() Body { return new(ForgetLease) },
	"pause_connection":   func() Body { return new(PauseConnection) },
	"record_sweep":       func() Body { return new(RecordSweep) },
	"adopt_orphans":      func() Body { return new(AdoptOrphans) },
	"update_account":     func() Body { return new(UpdateAccount) },
	"delete_account":     func() Body { return new(DeleteAccount) },
	"advance_clock":      func() Body { return new(AdvanceClock) },
	"repair_clock":       func() Body { return new(RepairClock) },
	"release_restored":   func() Body { return new(ReleaseRestored) },
	"adopt_unknown":      func() Body { return new(AdoptUnknown) },
	"create_join_token":  func() Body { return new(CreateJoinToken) },
	"delete_join_token":  func() Body { return new(DeleteJoinToken) },
	"enroll_node":        func() Body { return new(EnrollNode) },
	"remove_node":        func() Body { return new(RemoveNode) },
	"rotate_authority":   func() Body { return new(RotateAuthority) },
	"retire_authority":   func() Body { return new(RetireAuthority) },
	"rotate_gossip_key":  func() Body { return new(RotateGossipKey) },
	"create_token":       func() Body { return new(CreateToken) },

	"record_member":       func() Body { return new(RecordMember) },
	"raise_feature_level": func() Body { return new(RaiseFeatureLevel) },

	"anchor_audit":        func() Body { return new(AnchorAudit) },
	"create_sealing_key":  func() Body { return new(CreateSealingKey) },
	"record_sealing_key":  func() Body { return new(RecordSealingKey) },
	"promote_sealing_key": func() Body { return new(PromoteSealingKey) },
	"reseal_values":       func() Body { return new(ResealValues) },
	"retire_sealing_key":  func() Body { return new(RetireSealingKey) },
	"create_binding":      func() Body { return new(CreateBinding) },
	"delete_binding":      func() Body { return new(DeleteBinding) },
	"create_policy":       func() Body { return new(CreatePolicy) },
	"update_policy":       func() Body { return new(UpdatePolicy) },
	"delete_policy":       func() Body { return new(DeletePolicy) },

	"create_account":       func() Body { return new(CreateAccount) },
	"create_group":         func() Body { return new(CreateGroup) },
	"update_group":         func() Body { return new(UpdateGroup) },
	"delete_group":         func() Body { return new(DeleteGroup) },
	"delete_token":         func() Body { return new(DeleteToken) },
	"use_token":            func() Body { return new(UseToken) },
	"renew_token":          func() Body { return new(RenewToken) },
	"create_client_secret": func() Body { return new(CreateClientSecret) },
	"delete_client_secret": func() Body { return new(DeleteClientSecret) },
	"sign_in":              func() Body { return new(SignIn) },
	"set_password":         func() Body { return new(SetPassword) },
	"store_wrapped":        func() Body { return new(StoreWrapped) },
	"take_wrapped":         func() Body { return new(TakeWrapped) },

	"begin_rotation":          func() Body { return new(BeginRotation) },
	"commit_rotation":         func() Body { return new(CommitRotation) },
	"finish_rotation":         func() Body { return new(FinishRotation) },
	"cancel_rotation":         func() Body { return new(CancelRotation) },
	"record_rotation_trouble": func() Body { return new(RecordRotationTrouble) },
}

// TestGolden plays each scenario of testdata and compares what it answers. A scenario is a text of
// lines `> TIME [term=N] [key=K] [guarded] COMMAND {json}`; in the JSON "~30m" is a length of time and "@45s"
// the instant that long after the scenario's beginning. `< other.txt` plays another one first, `* restored` and
// `* drill` begin a new life of the state.
func TestGolden(t *testing.T) {
	for name := range newBody {
		if _, err := os.Stat(filepath.Join("testdata", name+".txt")); err != nil {
			t.Errorf("command %s has no golden scenario: %v", name, err)
		}
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := newPlayer(t)
			got := p.play(string(want), true)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
			if p.lives == 0 {
				checkDeterminism(t, p)
			}
		})
	}
}

// player applies scenarios to a state and keeps the log they make.
type player struct {
	t     *testing.T
	state *State
	log   []*raft.Log
	term  uint64

	offset uint64 // index that the log begins after
	lives  int    // how often the state was restored
}

func newPlayer(t *testing.T) *player { return &player{t: t, state: mustOpen(t), term: 1} }

func mustOpen(t *testing.T) *State {
	t.Helper()
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// play runs a scenario and returns it with fresh answers.
func (p *player) play(text string, show bool) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "< "):
			included, err := os.ReadFile(filepath.Join("testdata", strings.TrimPrefix(line, "< ")))
			if err != nil {
				p.t.Fatal(err)
			}
			p.play(string(included), false)
			fmt.Fprintln(&out, line)
		case line == "* restored" || line == "* drill":
			fmt.Fprintln(&out, line)
			p.restore(line == "* drill")
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			out.WriteString(p.step(strings.TrimPrefix(line, "> ")))
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		}
	}
	if show {
		return out.String()
	}
	return ""
}

// restore begins a new life, as after a restore from a snapshot of what was played.
func (p *player) restore(drill bool) {
	index, term := NextLife(p.state.Index(), p.term)
	err := p.state.BeginLife(Life{Index: index, Term: term, Restored: &Restored{At: epoch.Add(time.Hour), CreatedAt: epoch.Add(time.Minute), Drill: drill}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.offset, p.term, p.log = index, term, nil
	p.lives++
}

func (p *player) step(line string) string {
	head, body, ok := strings.Cut(line, "{")
	if !ok {
		p.t.Fatalf("a step without a body: %s", line)
	}
	fields := strings.Fields(head)
	at, err := time.ParseDuration(fields[0])
	if err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	name := fields[len(fields)-1]
	make, ok := newBody[name]
	if !ok {
		p.t.Fatalf("no command %q", name)
	}
	b := make()
	p.fill(b, "{"+body)
	cmd, err := NewCommand(b, epoch.Add(at).Time(), Actor{Account: "alice", Node: "n1"}, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range fields[1 : len(fields)-1] {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "term":
			_, err = fmt.Sscan(v, &p.term)
		case "guarded":
			cmd.Guarded = true
		case "stale":
			_, err = fmt.Sscan(v, &cmd.Term)
		case "key":
			key, content, _ := strings.Cut(v, ":")
			cmd.Key = NewKey("alice", name, key, []byte(content))
		default:
			err = fmt.Errorf("no option %q", k)
		}
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
	}
	return p.apply(cmd)
}

func (p *player) apply(cmd Command) string {
	data, err := cmd.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	entry := &raft.Log{Index: p.offset + uint64(len(p.log)) + 1, Term: p.term, Data: data}
	p.log = append(p.log, entry)
	r := p.state.Apply(entry).(*Result)
	var out bytes.Buffer
	switch {
	case r.Refusal != nil:
		fmt.Fprintf(&out, "! %s: %s\n", r.Refusal.Code, r.Refusal.Message)
	case r.Replayed:
		fmt.Fprintf(&out, "= replayed %s\n", show(r.Value))
	default:
		fmt.Fprintf(&out, "= %s\n", show(r.Value))
	}
	mustView(p.t, p.state, func(v *View) {
		for _, e := range v.Events(entry.Index-1, 1000) {
			fmt.Fprintln(&out, strings.TrimRight(fmt.Sprintf("+ %s %s %s", e.Type, orElse(string(e.Lease), e.Subject), show(e.Details)), " "))
		}
	})
	return out.String()
}

// fill decodes JSON into a body after turning the scenario's spelling of times into numbers.
func (p *player) fill(body Body, text string) {
	var tree any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	data, err := json.Marshal(p.times(tree))
	if err != nil {
		p.t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(body); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
}

func (p *player) times(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = p.times(v[k])
		}
	case []any:
		for i := range v {
			v[i] = p.times(v[i])
		}
	case string:
		if len(v) < 2 || v[0] != '~' && v[0] != '@' {
			return v
		}
		d, err := time.ParseDuration(v[1:])
		if err != nil {
			return v
		}
		if v[0] == '@' {
			return int64(epoch.Add(d))
		}
		return int64(d)
	}
	return v
}

// show prints a value's fields that are set, with instants as distances from the beginning.
func show(v any) string {
	r := reflect.ValueOf(v)
	switch x := v.(type) {
	case Instant:
		return "@" + x.Sub(epoch).String()
	case time.Duration:
		return "~" + x.String()
	case []byte:
		return fmt.Sprintf("%q", x)
	}
	switch r.Kind() {
	case reflect.Struct:
		var parts []string
		for i := range r.NumField() {
			f := r.Type().Field(i)
			if f.IsExported() && !r.Field(i).IsZero() && f.Name != "Hash" {
				parts = append(parts, f.Name+"="+show(r.Field(i).Interface()))
			}
		}
		return "{" + strings.Join(parts, " ") + "}"
	case reflect.Slice:
		parts := make([]string, r.Len())
		for i := range parts {
			parts[i] = show(r.Index(i).Interface())
		}
		return "[" + strings.Join(parts, " ") + "]"
	case reflect.Map:
		var parts []string
		for _, k := range r.MapKeys() {
			parts = append(parts, fmt.Sprint(k)+"="+instantText(fmt.Sprint(r.MapIndex(k))))
		}
		slices.Sort(parts)
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// instantText keeps instants in event details as readable as those in records.
func instantText(s string) string {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return show(At(at))
	}
	return s
}

func mustView(t *testing.T, s *State, read func(*View)) {
	t.Helper()
	if err := s.View(func(v *View) error { read(v); return nil }); err != nil {
		t.Fatal(err)
	}
}

// checkDeterminism: the same log twice, in batches of other sizes, gives the same state and hash;
// so does a snapshot with the rest of the log.
func checkDeterminism(t *testing.T, p *player) {
	t.Helper()
	want := dump(t, p.state)
	for _, size := range []int{1, 3, len(p.log) + 1} {
		again := mustOpen(t)
		for batch := range slices.Chunk(p.log, size) {
			again.ApplyBatch(batch)
		}
		if d := cmp.Diff(want, dump(t, again)); d != "" {
			t.Errorf("the same log in batches of %d gives another state (-want +got):\n%s", size, d)
		}
	}
	half := mustOpen(t)
	cut := len(p.log) / 2
	half.ApplyBatch(p.log[:cut])
	restored := mustRestore(t, half)
	if cut < len(p.log) {
		restored.ApplyBatch(p.log[cut:])
	}
	if d := cmp.Diff(want, dump(t, restored)); d != "" {
		t.Errorf("snapshot and rest of the log give another state (-want +got):\n%s", d)
	}
}

// dump lists every row of every bucket, the meta row with the running hash included.
func dump(t *testing.T, s *State) []string {
	t.Helper()
	var rows []string
	mustView(t, s, func(v *View) {
		for _, b := range buckets() {
			c := v.tx.Bucket([]byte(b)).Cursor()
			for k, val := c.First(); k != nil; k, val = c.Next() {
				rows = append(rows, fmt.Sprintf("%s %q %x", b, k, val))
			}
		}
	})
	return rows
}
