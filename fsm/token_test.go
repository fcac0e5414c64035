package fsm

import (
	"slices"
	"testing"
	"time"
)

// What is remembered is emptied by what changes who somebody is, and by nothing that happens with every sign-in.
func TestTokensThatAreMadeOrCountedEmptyNoMemory(t *testing.T) {
	p := mustPlay(t,
		`> 10s create_account {"Name":"ci","Kind":"service"}`,
		`> 11s create_client_secret {"Secret":{"ID":"s1","Account":"ci","Hash":"czE="}}`,
	)
	for _, c := range []struct {
		line    string
		forgets bool
	}{
		{`> 20s sign_in {"Token":{"Accessor":"t2","Hash":"dDI=","Account":"ci","MaxUses":3},"ClientSecret":"s1"}`, false},
		{`> 20s create_token {"Token":{"Accessor":"t3","Hash":"dDM=","Account":"ci","ExpiresAt":"@1h"}}`, false},
		{`> 20s use_token {"Accessor":"t2"}`, false},
		{`> 20s store_wrapped {"Hash":"dzE=","Sealed":"c2VhbGVk","TTL":"~5m"}`, false},
		{`> 20s create_group {"Name":"ops"}`, true},
		{`> 20s update_group {"Name":"ops","Add":["ci"]}`, true},
		{`> 20s create_account {"Name":"bob","Kind":"user"}`, true},
		{`> 20s delete_token {"Accessor":"t2"}`, true},
		{`> 1h prune {"KeyTTL":"~24h","HistoryTTL":"~24h","Limit":10}`, true},
		{`> 1h update_account {"Name":"ci","Disabled":true}`, true},
	} {
		reads := 0
		remember := func() {
			if _, err := p.state.Remember("k", func(*View) any { reads++; return "v" }); err != nil {
				t.Fatal(err)
			}
		}
		remember()
		reads = 0
		p.play(c.line, false)
		remember()
		if forgot := reads == 1; forgot != c.forgets {
			t.Errorf("%s: forgot %v", c.line, forgot)
		}
	}
}

// A new life knows nothing that was good for a number of uses: some may have been spent since the snapshot.
func TestANewLifeKnowsNothingCounted(t *testing.T) {
	p := mustPlay(t,
		`> 10s create_token {"Token":{"Accessor":"t2","Hash":"dDI=","Account":"alice","MaxUses":3}}`,
		`> 10s create_token {"Token":{"Accessor":"t3","Hash":"dDM=","Account":"alice"}}`,
		`> 11s create_client_secret {"Secret":{"ID":"s1","Account":"alice","Hash":"czE="}}`,
		`> 11s create_client_secret {"Secret":{"ID":"s2","Account":"alice","Hash":"czI=","MaxUses":1}}`,
		`> 12s store_wrapped {"Hash":"dzE=","Sealed":"c2VhbGVk","TTL":"~5m"}`,
		`* restored`,
	)
	mustView(t, p.state, func(v *View) {
		var left []TokenAccessor
		for _, k := range v.TokensOf("alice", "", 10) {
			left = append(left, k.Accessor)
		}
		if !slices.Equal(left, []TokenAccessor{"t1", "t3"}) {
			t.Errorf("tokens %v are left", left)
		}
		if list := v.ClientSecretsOf("alice", "", 10); len(list) != 1 || list[0].ID != "s1" {
			t.Errorf("client secrets %v are left", list)
		}
		if _, ok := v.Wrapped([]byte("w1")); ok {
			t.Error("a wrapped value is left")
		}
	})
}

// What was made in a time that never was keeps the time that it had left.
func TestRepairedClockMovesCredentials(t *testing.T) {
	p := mustPlay(t,
		`> 1000h create_client_secret {"Secret":{"ID":"s1","Account":"alice","Hash":"czE=","ExpiresAt":"@1001h"}}`,
		`> 1000h store_wrapped {"Hash":"dzE=","Sealed":"c2VhbGVk","TTL":"~5m"}`,
		`> 1h repair_clock {"To":"@1h","Reason":"it went ahead","Voters":1,"Readings":[{"Node":"n1","At":"@1h"}]}`,
	)
	mustView(t, p.state, func(v *View) {
		if s, ok := v.ClientSecret("s1"); !ok || s.ExpiresAt != epoch.Add(2*time.Hour) || s.CreatedAt != epoch.Add(time.Hour) {
			t.Errorf("client secret %s", show(s))
		}
		if w, ok := v.Wrapped([]byte("w1")); !ok || w.ExpiresAt != epoch.Add(time.Hour+5*time.Minute) {
			t.Errorf("wrapped value %s", show(w))
		}
	})
}

func TestTokensAreFound(t *testing.T) {
	p := mustPlay(t,
		`> 10s create_account {"Name":"ci","Kind":"service"}`,
		`> 11s create_token {"Token":{"Accessor":"t2","Hash":"dDI=","Account":"ci","MadeBy":"alice","Method":"token"}}`,
		`> 12s create_token {"Token":{"Accessor":"t3","Hash":"dDM=","Account":"alice","MadeBy":"alice","Method":"token"}}`,
		`> 13s create_token {"Token":{"Accessor":"t4","Hash":"dDQ=","Account":"alice","Method":"host","ExpiresAt":"@1h"}}`,
	)
	names := func(list []Token) (names []TokenAccessor) {
		for _, k := range list {
			names = append(names, k.Accessor)
		}
		return names
	}
	mustView(t, p.state, func(v *View) {
		for what, c := range map[string]struct{ got, want []TokenAccessor }{
			"all":               {names(v.Tokens("", 10)), []TokenAccessor{"t1", "t2", "t3", "t4"}},
			"of alice":          {names(v.TokensOf("alice", "", 10)), []TokenAccessor{"t1", "t3", "t4"}},
			"of alice, a page":  {names(v.TokensOf("alice", "t1", 1)), []TokenAccessor{"t3"}},
			"made for others":   {names(v.TokensMadeBy("alice")), []TokenAccessor{"t2"}},
			"from hosts":        {names(v.HostTokens(epoch)), []TokenAccessor{"t4"}},
			"from hosts, later": {names(v.HostTokens(epoch.Add(time.Hour))), nil},
		} {
			if !slices.Equal(c.got, c.want) {
				t.Errorf("%s: %v, not %v", what, c.got, c.want)
			}
		}
	})
}

// Whoever looks for what happened to an account finds its tokens and client secrets, too.
func TestEventsOfAnAccountsCredentials(t *testing.T) {
	p := mustPlay(t,
		`> 10s create_account {"Name":"ci","Kind":"service"}`,
		`> 11s create_token {"Token":{"Accessor":"t2","Hash":"dDI=","Account":"ci"}}`,
		`> 12s create_token {"Token":{"Accessor":"t3","Hash":"dDM=","Account":"alice"}}`,
		`> 13s create_client_secret {"Secret":{"ID":"s1","Account":"ci","Hash":"czE="}}`,
		`> 14s delete_token {"Accessor":"t2"}`,
	)
	mustView(t, p.state, func(v *View) {
		list, _, _ := v.EventsFrom(EventPage{Limit: 100}, EventFilter{About: LeaseSelector{Account: "ci"}})
		var got []EventType
		for _, e := range list {
			got = append(got, e.Type)
		}
		if want := []EventType{EventAccountCreated, EventTokenCreated, EventClientSecretCreated, EventTokenDeleted}; !slices.Equal(got, want) {
			t.Errorf("found %v", got)
		}
	})
}
