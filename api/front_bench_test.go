package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"broker/api/front"
)

// What the front door costs a request: who asks, the rate of its host, its head, its name and its origin; then the rate
// of its account. Nothing is refused.
func BenchmarkFront(b *testing.B) {
	endless := front.Rate{PerSecond: 1e9, Burst: 1 << 30}
	proxies, err := front.ParseProxies([]string{"10.1.0.0/24", "10.2.0.0/24"})
	if err != nil {
		b.Fatal(err)
	}
	s := &Server{config: Config{Now: time.Now, Proxies: proxies}, limits: newLimits(Limits{endless, endless, endless})}
	handler := s.front(s.ration(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	r := httptest.NewRequest("POST", "/api/v1/environments/payments/production/secrets/orders-ro/leases?dry_run=true", nil)
	r.RemoteAddr = "10.1.0.1:4711"
	for name, value := range map[string]string{
		"Authorization": "Bearer x", "Content-Type": "application/json", "User-Agent": "tester/1", "Accept": "application/json",
		"Accept-Encoding": "gzip", "Idempotency-Key": "x", "X-Forwarded-For": "203.0.113.9, 10.2.0.1", "Traceparent": "00-x",
	} {
		r.Header.Set(name, value)
	}
	c := &call{path: r.URL.Path, method: r.Method, identity: Identity{Account: "admin"}}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		c.client, c.address = s.clientOf(r)
		handler.ServeHTTP(w, r)
	}
}

func BenchmarkStrictJSON(b *testing.B) {
	body := []byte(`{"ttl":"30m","name":"debugging","labels":{"team":"payments","ticket":"OPS-1234"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := strict(body); err != nil {
			b.Fatal(err)
		}
	}
}
