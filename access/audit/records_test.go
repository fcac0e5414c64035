package audit_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/access"
	"broker/access/audit"
)

// mustFind returns a page.
func mustFind(t testing.TB, l *audit.Log, q access.AuditQuery) access.AuditPage {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	page, err := l.Records(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// mustPages returns all pages of a query, and how many there were.
func mustPages(t testing.TB, l *audit.Log, q access.AuditQuery) (all []access.AuditRecord, pages int) {
	t.Helper()
	for {
		page := mustFind(t, l, q)
		all = append(all, page.Records...)
		pages++
		if q.Before = page.Next; page.Next == (access.AuditPlace{}) {
			return all, pages
		}
	}
}

// told are records in a few words: type, id, result and status.
func told(t testing.TB, list []access.AuditRecord) (out []string) {
	t.Helper()
	for _, one := range list {
		var line, outcome struct {
			Type, ID, Call string
			Status         int
		}
		if err := json.Unmarshal(one.Line, &line); err != nil {
			t.Fatal(err)
		}
		if one.Outcome != nil {
			if err := json.Unmarshal(one.Outcome, &outcome); err != nil {
				t.Fatal(err)
			}
			if outcome.ID != line.ID {
				t.Errorf("request %s with the outcome of %s", line.ID, outcome.ID)
			}
		}
		text := fmt.Sprintf("%s %s%s %s %d", line.Type, line.ID, line.Call, one.Result, line.Status+outcome.Status)
		out = append(out, strings.TrimSuffix(text, " 0"))
	}
	return out
}

func TestFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, nil)
	ask := func(id string, change func(*access.RequestRecord), status int) {
		t.Helper()
		r := request(id)
		if change != nil {
			change(&r)
		}
		if err := l.Request(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if status != 0 {
			o := outcome(id)
			if o.Status = status; status != 201 {
				o.Lease = ""
			}
			l.Outcome(t.Context(), o)
		}
	}
	read := func(r *access.RequestRecord) {
		r.Method, r.Action, r.Account, r.On = "GET", "connection:get", "alice", access.Resource{Kind: access.KindConnection, Name: "orders-db"}
	}
	ask("A", nil, 201)
	ask("B", read, 200)
	ask("C", func(r *access.RequestRecord) { r.Allowed, r.Account = false, "bob" }, 403)
	ask("D", read, 503)
	ask("E", func(r *access.RequestRecord) {
		r.Method, r.Path, r.Action = "GET", "/v1/orders/creds/x", "lease:issue"
	}, 200)
	l.Call(t.Context(), access.CallRecord{Connection: "orders-db", Provider: "postgres", Call: "list", Outcome: "ok"})
	l.Call(t.Context(), access.CallRecord{Connection: "orders-db", Provider: "postgres", Call: "check", Outcome: "unavailable"})
	l.Outcome(t.Context(), access.OutcomeRecord{ID: "F", Stage: access.StageRefused, Status: 401, Address: "10.0.0.9", Method: "GET", Path: "/api/v1/leases"})
	ask("G", func(r *access.RequestRecord) {
		r.On = access.Resource{Kind: access.KindLease, Name: "01X", Environment: "other/staging", Secret: "s", Owner: "carol"}
	}, 0)
	mustClose(t, l)
	all := []string{
		"stop  ok", "request G unanswered", "outcome F refused 401", "call check failed", "call list ok", "request E ok 200",
		"request D failed 503", "request C refused 403", "request B ok 200", "request A ok 201", "start  ok",
	}
	for _, test := range []struct {
		name string
		q    access.AuditQuery
		want []string
	}{
		{"all", access.AuditQuery{}, all},
		{"account", access.AuditQuery{Account: "bob"}, []string{all[7]}},
		{"action", access.AuditQuery{Action: "connection:get"}, []string{all[6], all[8]}},
		{"actions of a noun", access.AuditQuery{Action: "connection"}, []string{all[6], all[8]}},
		{"the beginning of a noun", access.AuditQuery{Action: "connect"}, nil},
		{"a secret", access.AuditQuery{Resource: "payments/production/orders-ro"}, []string{all[5], all[7], all[9]}},
		{"an environment", access.AuditQuery{Resource: "other/staging"}, []string{all[1]}},
		{"an app", access.AuditQuery{Resource: "payments/*"}, []string{all[5], all[7], all[9]}},
		{"a connection", access.AuditQuery{Resource: "connection/orders-db", Result: access.AuditFailed}, []string{all[3], all[6]}},
		{"a lease", access.AuditQuery{Resource: "lease/01X"}, []string{all[1]}},
		{"a lease that was made", access.AuditQuery{Resource: "lease/01LEASE"}, []string{all[9]}},
		{"whose", access.AuditQuery{Resource: "account/carol"}, []string{all[1]}},
		{"refused", access.AuditQuery{Result: access.AuditRefused}, []string{all[2], all[7]}},
		{"a request", access.AuditQuery{Request: "C"}, []string{all[7]}},
		{"changes", access.AuditQuery{Changes: true}, []string{all[0], all[1], all[2], all[3], all[5], all[6], all[7], all[9], all[10]}},
		{"before a time", access.AuditQuery{Until: time.Now().Add(-time.Hour)}, nil},
		{"after a time", access.AuditQuery{Since: time.Now().Add(time.Hour)}, nil},
		{"within", access.AuditQuery{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}, all},
	} {
		if diff := cmp.Diff(test.want, told(t, mustFind(t, l, test.q).Records)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// What is written, put aside and removed meanwhile neither repeats nor hides what pages show.
func TestFindWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) { c.MaxSize, c.Keep = 8000, 1000 })
	write := func(from, to int) {
		for i := from; i < to; i++ {
			mustRequest(t, l, fmt.Sprint(i))
			l.Outcome(t.Context(), outcome(fmt.Sprint(i)))
		}
	}
	const known = 60
	write(0, known)
	eventually(t, "the outcomes", func() bool { return l.Figures().Outcomes == known })
	var more sync.WaitGroup
	more.Go(func() { write(known, 2*known) })
	for range 2 {
		all, pages := mustPages(t, l, access.AuditQuery{Account: "ci", Limit: 9})
		var got []string
		for _, one := range told(t, all) {
			if strings.HasSuffix(one, " ok 201") {
				got = append(got, strings.Fields(one)[1])
			}
		}
		if len(got) < known || pages < known/9 {
			t.Fatalf("%d requests with outcomes on %d pages", len(got), pages)
		}
		for i, id := range got[len(got)-known:] {
			if id != fmt.Sprint(known-1-i) {
				t.Fatalf("request %s where %d belongs", id, known-1-i)
			}
		}
	}
	more.Wait()
	mustClose(t, l)
	if files := logs(t, path); len(files) < 5 {
		t.Errorf("only %d files", len(files))
	}
	all, _ := mustPages(t, l, access.AuditQuery{Account: "ci", Limit: 50})
	if len(all) != 2*known {
		t.Errorf("%d requests", len(all))
	}
}

// A line that is half written is not there yet; what is no record is counted; a place whose file is gone is the end.
func TestFindWhatIsNoRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) { c.Flush = time.Hour })
	if page := mustFind(t, l, access.AuditQuery{Account: "ci"}); len(page.Records) != 0 || page.Next.Seq != 0 {
		t.Errorf("of a new log: %+v", page)
	}
	mustRequest(t, l, "1")
	mustRequest(t, l, "2")
	mustClose(t, l)
	mustAppend(t, path, "graffiti\n"+strings.Repeat("x", 700_000)+"\n"+`{"v":1,"chain":"A","seq":9,"time":"2026`)
	page := mustFind(t, l, access.AuditQuery{})
	if got, want := told(t, page.Records), []string{"stop  ok", "request 2 unanswered", "request 1 unanswered", "start  ok"}; !cmp.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if page.Unreadable < 2 {
		t.Errorf("%d lines are no records", page.Unreadable)
	}
	gone := access.AuditQuery{Before: access.AuditPlace{Chain: "ANOTHER", Seq: 7}}
	if page := mustFind(t, l, gone); len(page.Records) != 0 || page.Next.Seq != 0 {
		t.Errorf("of another log: %+v", page)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if page := mustFind(t, l, access.AuditQuery{}); len(page.Records) != 0 {
		t.Errorf("without files: %+v", page)
	}
}

// Where nothing in the part that one query looks through is a record there is no place to go on from, and it says that it stopped.
func TestFindStopsWhereNothingIsARecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	record := fmt.Sprintf(`{"v":1,"chain":"A","seq":1,"prev":%q,"time":"2026-01-02T00:00:00Z","type":"start","node":"n1"}`+"\n", strings.Repeat("0", 64))
	mustWrite(t, path, record+strings.Repeat(strings.Repeat("x", 10_000)+"\n", 1_200))
	l := mustOpen(t, path+".other", nil) // which writes elsewhere
	defer mustClose(t, l)
	page := mustFind(t, audit.At(l, path), access.AuditQuery{})
	if len(page.Records) != 0 || !page.Stopped || page.Next.Seq != 0 || page.Unreadable == 0 {
		t.Errorf("%d records, stopped %t, next %v, %d lines unreadable", len(page.Records), page.Stopped, page.Next, page.Unreadable)
	}
}

// One query looks through a bounded part of the log, and goes on where it stopped. Times are found without looking
// through what lies between.
func TestFindIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	began := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	const count, aside = 4_000, 1_500
	filler := strings.Repeat("f", 4000)
	var text strings.Builder
	for n := 1; n <= count; n++ {
		account := "ci"
		if n == 10 {
			account = "rare"
		}
		fmt.Fprintf(&text, `{"v":1,"chain":"A","seq":%d,"prev":%q,"time":%q,"type":"request","node":"n1","id":"R%d","stage":"served","account":%q,"method":"POST","path":%q}`+"\n",
			n, strings.Repeat("0", 64), at(n).Format(time.RFC3339Nano), n, account, filler)
		if n == aside {
			mustWrite(t, fmt.Sprintf("%s.%012d", path, n), text.String())
			text.Reset()
		}
	}
	mustWrite(t, path, text.String())
	l := mustOpen(t, path+".other", nil) // which writes elsewhere
	defer mustClose(t, l)
	l = audit.At(l, path)

	page := mustFind(t, l, access.AuditQuery{Account: "rare"})
	if len(page.Records) != 0 || !page.Stopped || page.Next.Seq == 0 || page.Next.Seq > count-1_500 || page.Back != at(int(page.Next.Seq)) {
		t.Fatalf("the first part: %d records, stopped %t, next %d, back to %s", len(page.Records), page.Stopped, page.Next.Seq, page.Back)
	}
	all, pages := mustPages(t, l, access.AuditQuery{Account: "rare"})
	if len(all) != 1 || pages < 2 || pages > 4 {
		t.Errorf("%d records on %d pages", len(all), pages)
	}
	for _, n := range []int{1, aside, aside + 1, 3_333} {
		page := mustFind(t, l, access.AuditQuery{Until: at(n), Limit: 2})
		if page.Stopped || len(page.Records) == 0 || !strings.HasPrefix(told(t, page.Records)[0], fmt.Sprintf("request R%d ", n)) {
			t.Errorf("until %d: %v", n, told(t, page.Records))
		}
		page = mustFind(t, l, access.AuditQuery{Before: access.AuditPlace{Chain: "A", Seq: uint64(n) + 1}, Limit: 1})
		if len(page.Records) != 1 || !strings.HasPrefix(told(t, page.Records)[0], fmt.Sprintf("request R%d ", n)) {
			t.Errorf("before %d: %v", n+1, told(t, page.Records))
		}
	}
	page = mustFind(t, l, access.AuditQuery{Since: at(count - 3)})
	if len(page.Records) != 4 || page.Next.Seq != 0 || page.Stopped {
		t.Errorf("since: %d records, next %v", len(page.Records), page.Next)
	}
}

// What became of a request is unknown where its outcome may stand too far behind it, and not when the program has begun anew
// since.
func TestFindUnknown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	const count = 800 // of 4 kB each, which is more than is looked through for outcomes
	write := func(third string) {
		var text strings.Builder
		for n := 1; n <= count; n++ {
			line := fmt.Sprintf(`"type":"call","call":"list","outcome":"ok","usernames":[%q]`, strings.Repeat("f", 4000))
			switch n {
			case 1, 2:
				line = fmt.Sprintf(`"type":"request","id":"R%d","stage":"served","account":"ci","method":"POST"`, n)
			case 3:
				line = third
			case count:
				line = `"type":"outcome","id":"R1","stage":"served","status":503`
			}
			fmt.Fprintf(&text, `{"v":1,"chain":"A","seq":%d,"prev":%q,"time":%q,"node":"n1",%s}`+"\n", n, strings.Repeat("0", 64), time.Now().UTC().Format(time.RFC3339Nano), line)
		}
		mustWrite(t, path, text.String())
	}
	l := mustOpen(t, path+".other", nil) // which writes elsewhere
	defer mustClose(t, l)
	l = audit.At(l, path)
	first := access.AuditPlace{Chain: "A", Seq: 3}
	write(`"type":"request","id":"R3","stage":"served","account":"other","method":"POST"`)
	for _, test := range []struct {
		name   string
		q      access.AuditQuery
		want   []string
		unsure bool
	}{
		{"from the end", access.AuditQuery{Account: "ci"}, []string{"request R2 unanswered", "request R1 failed 503"}, false},
		{"from there", access.AuditQuery{Account: "ci", Before: first}, []string{"request R2 unknown", "request R1 unknown"}, false},
		{"failed", access.AuditQuery{Result: access.AuditFailed, Before: first}, nil, true},
		{"unanswered", access.AuditQuery{Result: access.AuditUnanswered, Before: first}, nil, true},
		{"unknown", access.AuditQuery{Result: access.AuditUnknown, Before: first}, []string{"request R2 unknown", "request R1 unknown"}, false},
	} {
		page := mustFind(t, l, test.q)
		if diff := cmp.Diff(test.want, told(t, page.Records)); diff != "" || page.Unsure != test.unsure {
			t.Errorf("%s: unsure %t (-want +got):\n%s", test.name, page.Unsure, diff)
		}
	}
	write(`"type":"start"`)
	if got, want := told(t, mustFind(t, l, access.AuditQuery{Account: "ci", Before: first}).Records), []string{"request R2 unanswered", "request R1 unanswered"}; !cmp.Equal(got, want) {
		t.Errorf("since when it began anew: %q", got)
	}
}
