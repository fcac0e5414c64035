package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// oneLease is an API server with one Lease, reached without a network.
type oneLease struct {
	mu      sync.Mutex
	version int
	lease   *coordination
	away    map[string]bool // by the token of who asks
}

func (o *oneLease) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away[r.Header.Get("Authorization")] {
		return nil, io.ErrUnexpectedEOF
	}
	answer := func(code int, body any) (*http.Response, error) {
		text, err := json.Marshal(body)
		return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text))}, err
	}
	if r.Method == http.MethodGet {
		if o.lease == nil {
			return answer(404, map[string]string{"reason": "NotFound"})
		}
		return answer(200, o.lease)
	}
	var sent coordination
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		return nil, err
	}
	if (o.lease == nil) != (r.Method == http.MethodPost) || o.lease != nil && o.lease.Metadata.ResourceVersion != sent.Metadata.ResourceVersion {
		return answer(409, map[string]string{"reason": "Conflict"})
	}
	o.version++
	sent.Metadata.ResourceVersion = strconv.Itoa(o.version)
	o.lease = &sent
	return answer(200, sent)
}

func (o *oneLease) replica(t *testing.T, name string) *leaseStore {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
	api := &kubernetes{server: "https://kubernetes", tokenFile: token, namespace: "default", http: &http.Client{Transport: o}}
	return &leaseStore{api: api, name: ObjectName{Name: "agent"}, holder: name, log: slog.New(slog.DiscardHandler)}
}

func (o *oneLease) cutOff(name string, away bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away["Bearer "+name] = away
}

func withReady() state { return state{Ready: true} }

// TestLeaseTakenOver: who is cut off stops before another one begins, and that one finds what it left.
func TestLeaseTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oneLease{away: map[string]bool{}}
		one, two := o.replica(t, "one"), o.replica(t, "two")
		if _, err := one.take(t.Context(), func(state) {}); err != nil {
			t.Fatal(err)
		}
		if err := one.save(t.Context(), withReady()); err != nil {
			t.Fatal(err)
		}
		var seen, taken state
		took := make(chan time.Time, 1)
		go func() {
			var err error
			if taken, err = two.take(t.Context(), func(s state) { seen = s }); err != nil {
				t.Error(err)
			}
			took <- time.Now()
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-took:
			t.Fatal("it was taken from one who lives")
		default:
		}
		if !seen.Ready {
			t.Error("who waits does not see the state")
		}
		o.cutOff("one", true)
		var stopped time.Time
		go func() { <-one.lost(); stopped = time.Now() }()
		at := <-took
		synctest.Wait()
		if stopped.IsZero() || !stopped.Before(at) {
			t.Errorf("one stopped at %s, two began at %s", stopped, at)
		}
		if !taken.Ready {
			t.Error("the state was not taken over")
		}
		o.cutOff("one", false)
		if err := one.save(t.Context(), state{}); !errors.Is(err, errTaken) {
			t.Errorf("a late write came to %v", err)
		}
		one.give()
		if o.lease.Spec.Holder != "two" {
			t.Errorf("it is %q's", o.lease.Spec.Holder)
		}
		two.give()
	})
}

// TestLeaseGiven: who ends in an orderly way is followed at once, and of several that wait one comes.
func TestLeaseGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oneLease{away: map[string]bool{}}
		one := o.replica(t, "one")
		if _, err := one.take(t.Context(), func(state) {}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		took := make(chan *leaseStore, 2)
		var waiting sync.WaitGroup
		for _, name := range []string{"two", "three"} {
			next := o.replica(t, name)
			waiting.Go(func() {
				if _, err := next.take(ctx, func(state) {}); err == nil {
					took <- next
				}
			})
		}
		time.Sleep(10 * time.Second)
		one.give()
		began := time.Now()
		next := <-took
		if waited := time.Since(began); waited > 2*leaseLook {
			t.Errorf("it took %s", waited)
		}
		time.Sleep(time.Minute)
		if len(took) > 0 {
			t.Error("two work at a time")
		}
		cancel()
		waiting.Wait()
		next.give()
	})
}
