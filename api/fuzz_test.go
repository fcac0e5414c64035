package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/api/types"
)

// twice reports whether an object of the next value has a member twice, in the way that is slow and plain.
func twice(decoder *json.Decoder) bool {
	token, err := decoder.Token()
	if err != nil {
		return false
	}
	opening, ok := token.(json.Delim)
	if !ok {
		return false
	}
	found, seen := false, map[any]bool{}
	for decoder.More() {
		if opening == '{' {
			name, err := decoder.Token()
			if err != nil {
				return found
			}
			found, seen[name] = found || seen[name], true
		}
		found = twice(decoder) || found
	}
	_, _ = decoder.Token()
	return found
}

func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a/b"}`, `{"a":[{"b":1,"b":2}]}`, `{"a":1}{}`, `[1,2,{"x":null}]`, `"x"`, `1e999`, ``, ` `, `{`, `{"a":}`, `{"a" 1}`, `[1 2]`, `[,]`, `{"\u0061":1,"a":2}`,
		strings.Repeat("[", 40), strings.Repeat(`{"a":`, 40), "\ufeff{}", "{\"\xff\":1,\"\xfe\":2}", `{"a":"` + strings.Repeat("x", 100) + `"}`, `}`, `]`, `nul`,
	} {
		f.Add([]byte(seed))
	}
	format := strictJSON()
	f.Fuzz(func(t *testing.T, data []byte) {
		var value any
		err := format.Unmarshal(data, &value)
		valid := json.Valid(data)
		if err != nil {
			if _, ok := err.(*jsonError); !ok {
				t.Errorf("the error is a %T", err)
			}
			if len(err.Error()) > 500 {
				t.Errorf("the error is %d long", len(err.Error()))
			}
			if valid && len(data) < maxDepth && !twice(json.NewDecoder(bytes.NewReader(data))) && !bytes.ContainsAny(data, "eE") {
				t.Errorf("refused: %q, %v", data, err) // no number is too large, nothing is deep
			}
			return
		}
		if !valid || twice(json.NewDecoder(bytes.NewReader(data))) {
			t.Errorf("taken: %q", data)
		}
		// What was understood is what is written again.
		var out bytes.Buffer
		if err := format.Marshal(&out, value); err != nil {
			t.Fatal(err)
		}
		var again any
		if err := format.Unmarshal(out.Bytes(), &again); err != nil || !reflect.DeepEqual(value, again) {
			t.Errorf("%q became %q: %v", data, out.Bytes(), err)
		}
	})
}

func FuzzSelector(f *testing.F) {
	f.Add("payments/*", "payments/production/x", "active", "team=a", "a=b=c", int64(1))
	f.Add("*", "", "stuck", "=", "", int64(-1))
	f.Add("", "a/b", "", "x", "é=1", int64(1<<62))
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, environment, secret, state, label, label2 string, at int64) {
		in := types.LeaseSelector{
			Environment: []string{environment}, Secret: secret, State: []string{state}, Label: []string{label, label2}, IssuedAfter: time.Unix(0, at).UTC(),
		}
		first, err := selectorFrom("selector.", in, now)
		if err != nil {
			if p, ok := err.(*types.Problem); !ok || !strings.HasPrefix(p.Errors[0].Field, "selector.") {
				t.Errorf("refused by %v", err)
			}
			return
		}
		if choosesAll(first) {
			t.Error("what has an environment chooses everything")
		}
		second, err := selectorFrom("", selectorOf(first), now)
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%+v became %+v: %v", first, second, err)
		}
	})
}

func FuzzPosition(f *testing.F) {
	for _, seed := range []string{"0", "1", "42.7", "9999999999999999999", "1.999999999", "1.", ".1", "-1", "+1", "1e3", "01.01", " 1", "1\n", "１"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := EventStart{After: text}
		if start.check() != nil || text == "" {
			return
		}
		at := positionOf(text)
		if at.Index == 0 && at.Ordinal == 0 {
			t.Errorf("%q is before everything", text)
		}
		if again := positionOf(positionText(at)); again != at {
			t.Errorf("%q is %+v, which is written %q and read as %+v", text, at, positionText(at), again)
		}
	})
}

func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{"", "*", `"1"`, `1`, `"0"`, `"-1"`, `W/"1"`, `"18446744073709551615"`, `"18446744073709551616"`, `"1", "2"`, `""1""`, `"1`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		version, err := ifVersion(header)
		if err != nil {
			if version != 0 {
				t.Errorf("%q is refused and %d", header, version)
			}
			return
		}
		if (version == 0) != (header == "" || header == "*") {
			t.Errorf("%q is version %d", header, version)
		}
		c := &call{header: http.Header{}}
		c.setVersion(version)
		if again, err := ifVersion(c.header.Get("ETag")); version != 0 && (err != nil || again != version) {
			t.Errorf("%d is written %q and read as %d, %v", version, c.header.Get("ETag"), again, err)
		}
	})
}

// A path that is plain can be cleaned by whoever likes, and stays what it is.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a//b", "/a/../b", "/a%2fb", "/a%5cb", "/%2e%2e/a", "//x", "/a/", "*", "", "/ü", "/%c3%bc", "/a%00", "/a;b", "/a?b#c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil || !plainPath(u) {
			return
		}
		encoded, err := url.Parse(u.EscapedPath())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range []string{u.Path, encoded.Path} {
			cleaned := strings.TrimSuffix((&url.URL{Path: "/"}).JoinPath(strings.Split(strings.TrimPrefix(one, "/"), "/")...).Path, "/")
			if cleaned != strings.TrimSuffix(u.Path, "/") {
				t.Errorf("%q is plain, and is %q when it is cleaned", one, cleaned)
			}
		}
	})
}

// A token is found wherever in a URL it stands.
func FuzzSecretInURL(f *testing.F) {
	f.Add("account=", "", true)
	f.Add("brk_", "&x=%zz", true)
	f.Add("%", "b", false)
	f.Add("", "/renew", false)
	token, err := access.NewToken(io.LimitReader(zeros{}, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, before, after string, query bool) {
		r := httptest.NewRequest("GET", "/", nil)
		if query {
			r.URL.RawQuery = before + token + after
		} else {
			r.URL.Path = before + token + after
		}
		if !secretInURL(r) {
			t.Errorf("%q and %q hide it", before, after)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzHeaders(f *testing.F) {
	f.Add("Bearer x", "key-1", "5s", "7", "linearizable")
	f.Add("bearer  x ", "", "-1", "-1", "")
	f.Add("Basic YTpi", "é", "1d", "18446744073709551616", "stale")
	f.Fuzz(func(t *testing.T, authorization, key, age, index, consistency string) {
		if token, ok := bearer(http.Header{"Authorization": {authorization}}); ok && (token == "" || strings.TrimSpace(token) != token) {
			t.Errorf("%q holds the token %q", authorization, token)
		}
		if checkKey(key) == nil && (len(key) > maxKeyLength || strings.ContainsAny(key, " \r\n\x00")) {
			t.Errorf("the key %q is taken", key)
		}
		r := httptest.NewRequest("GET", "/api/v1/leases", nil)
		r.URL.RawQuery = url.Values{"max_stale": {age}, "consistency": {consistency}}.Encode()
		r.Header.Set(types.HeaderMinIndex, index)
		mode, err := readModeOf(r)
		if err == nil && (mode.maxStale < 0 || mode.consistency == "") {
			t.Errorf("the mode is %+v", mode)
		}
		if kind, ok := isJSON(http.Header{"Content-Type": {authorization}}), strings.Contains(strings.ToLower(authorization), "json"); kind && !ok {
			t.Errorf("%q is JSON", authorization)
		}
		if text, err := (Paged{Cursor: key}).after(); err == nil && text != "" && key == "" {
			t.Errorf("no cursor is %q", text)
		}
	})
}
