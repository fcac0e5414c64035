package front

import (
	"net/netip"
	"testing"
	"time"
)

var begin = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestRates(t *testing.T) {
	rates := NewRates[string](Rate{PerSecond: 10, Burst: 20}, 100)
	now := begin
	take := func(key string, n int) (taken int, wait time.Duration) {
		for range n {
			if wait = rates.Take(key, now); wait == 0 {
				taken++
			}
		}
		return taken, wait
	}
	if taken, wait := take("a", 30); taken != 20 || wait != 100*time.Millisecond {
		t.Errorf("at once %d are taken, and the next in %s", taken, wait)
	}
	if !rates.Spent("a", now) || rates.Spent("b", now) {
		t.Error("a is spent and b, which was never here, is not")
	}
	if taken, _ := take("b", 30); taken != 20 {
		t.Errorf("b has %d of its own", taken)
	}
	now = now.Add(500 * time.Millisecond)
	if taken, _ := take("a", 30); taken != 5 {
		t.Errorf("half a second later %d are taken", taken)
	}
	now = now.Add(time.Hour)
	if taken, _ := take("a", 30); taken != 20 || rates.Kept() != 1 {
		t.Errorf("an hour later %d are taken, and %d are kept", taken, rates.Kept())
	}
}

// No bucket is forgotten while that would give its key more than it has.
func TestRatesForgetNobodyWhoIsHere(t *testing.T) {
	rates := NewRates[string](Rate{PerSecond: 1, Burst: 300}, 100)
	now, taken := begin, 0
	for range 3600 { // an hour of ten a second
		for range 10 {
			if rates.Take("a", now) == 0 {
				taken++
			}
		}
		now = now.Add(time.Second)
	}
	if taken > 300+3600 || taken < 3600 {
		t.Errorf("%d are taken in an hour", taken)
	}
}

func TestRatesAreBounded(t *testing.T) {
	rates := NewRates[netip.Prefix](Rate{PerSecond: 1}, 1000)
	address := netip.MustParseAddr("10.0.0.0")
	for range 50_000 {
		rates.Take(HostOf(address), begin)
		address = address.Next()
	}
	if kept := rates.Kept(); kept > 1000 {
		t.Errorf("%d are kept", kept)
	}
	for range 100 { // who only looks is not kept
		rates.Spent(HostOf(address), begin)
		address = address.Next()
	}
	if kept := rates.Kept(); kept > 1000 {
		t.Errorf("%d are kept after looking", kept)
	}
}

func TestNoRate(t *testing.T) {
	rates := NewRates[string](Rate{}, 10)
	for range 1000 {
		if rates.Take("a", begin) != 0 || rates.Spent("a", begin) {
			t.Fatal("without a rate somebody waits")
		}
	}
	if rates.Kept() != 0 {
		t.Error("without a rate somebody is kept")
	}
}

func BenchmarkRatesOneHost(b *testing.B) {
	rates := NewRates[netip.Prefix](Rate{PerSecond: 1e9, Burst: 1 << 30}, 16384)
	host := HostOf(netip.MustParseAddr("203.0.113.9"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			rates.Take(host, time.Now())
		}
	})
}

func BenchmarkRatesRefused(b *testing.B) {
	rates := NewRates[netip.Prefix](Rate{PerSecond: 1, Burst: 1}, 16384)
	host := HostOf(netip.MustParseAddr("203.0.113.9"))
	for b.Loop() {
		rates.Take(host, time.Now())
	}
}

// Every request from another host, more of them than are kept.
func BenchmarkRatesNewHosts(b *testing.B) {
	rates := NewRates[netip.Prefix](Rate{PerSecond: 200, Burst: 400}, 16384)
	address := netip.MustParseAddr("10.0.0.0")
	for b.Loop() {
		rates.Take(HostOf(address), time.Now())
		address = address.Next()
	}
}
