package vault

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"broker/api/types"
)

// credentials issues a lease. GET is asked again by clients that got no answer, and by people; PUT and POST are for one
// more each time.
func (s *Server) credentials(w http.ResponseWriter, r *request) error {
	spec, err := issueSpec(r)
	if err != nil {
		return err
	}
	secret := Secret{r.names[0], r.names[1], r.names[2]}
	issued, err := s.config.Native.Issue(r.Context(), secret, spec, r.method == http.MethodGet)
	if err != nil {
		return err
	}
	data := map[string]string{}
	for _, one := range issued.Values {
		if field := issued.Fields[one.Key]; field != "" {
			data[field] = one.Value
		}
	}
	for _, one := range issued.Values { // what is called by its own name goes first
		data[one.Key] = one.Value
	}
	out := s.leased(issued.Lease)
	out.Data, out.Warnings, out.MountType = data, issued.Warnings, mountType
	if issued.Replayed {
		out.Warnings = append(out.Warnings, "this is the lease of an earlier request: with this token and from this address the same was asked for just now; PUT or POST issue one more each time")
	}
	write(w, http.StatusOK, out)
	return nil
}

// issueSpec reads what lease is asked for: its ttl, and whatever else the provider takes, in the body or the query.
func issueSpec(r *request) (spec types.IssueSpec, err error) {
	input := fields{}
	for name, values := range r.URL.Query() {
		if name != "list" && len(values) == 1 {
			input[name] = quoted(values[0])
		}
	}
	maps.Copy(input, r.fields)
	ttl, err := input.duration("ttl")
	if err != nil {
		return spec, err
	}
	if ttl > 0 {
		d := types.Duration(ttl)
		spec.TTL = &d
	}
	for name, raw := range input {
		var value any
		if name == "ttl" || json.Unmarshal(raw, &value) != nil || value == nil {
			continue
		}
		if spec.Parameters == nil {
			spec.Parameters = map[string]any{}
		}
		spec.Parameters[name] = value
	}
	return spec, nil
}

// leased is what every answer about a live lease tells of it.
func (s *Server) leased(l types.Lease) *answer {
	return &answer{LeaseID: leaseID(l.Secret, l.ID), Renewable: renewable(l), LeaseDuration: seconds(s.config.Now(), l.ExpiresAt)}
}

// renewable does not change while a lease lives: clients give up a lease that is so no more, at once, though it has
// time left.
func renewable(l types.Lease) bool { return l.Renewable || l.Renewals > 0 }

// leaseOf reads which lease is meant: its id in the path or in the body. An id that can be none is empty.
func leaseOf(r *request) (Place, error) {
	text, err := r.fields.text("lease_id")
	if err == nil && text == "" {
		text, err = r.fields.text("url_lease_id")
	}
	if text == "" {
		text = r.rest
	}
	switch {
	case err != nil:
		return Place{}, err
	case text == "":
		return Place{}, refuse("lease_id must be specified")
	}
	if p, ok := parsePlace(text); ok && p.ID != "" {
		return p, nil
	}
	return Place{}, nil
}

// known looks a lease up for whoever may read it. One that has ended, or is another secret's, is none.
func (s *Server) known(r *request, at Place) (types.Lease, error) {
	if at.ID == "" {
		return types.Lease{}, noLease()
	}
	l, err := s.config.Native.Lease(r.Context(), at.ID)
	if err != nil {
		return l, as(err, noLease(), codeNotFound)
	}
	if l.Secret != at.secret().String() || l.Ended() {
		return l, noLease()
	}
	return l, nil
}

func (s *Server) lookUpLease(w http.ResponseWriter, r *request) error {
	at, err := leaseOf(r)
	if err != nil {
		return err
	}
	l, err := s.known(r, at)
	if codeOf(err) == codeLeaseNotFound {
		return refuse("invalid lease")
	}
	if err != nil {
		return err
	}
	id := leaseID(l.Secret, l.ID)
	write(w, http.StatusOK, &answer{Data: map[string]any{
		"id": id, "issue_time": text(&l.CreatedAt), "expire_time": text(&l.ExpiresAt), "last_renewal": text(l.RenewedAt),
		"renewable": renewable(l), "ttl": seconds(s.config.Now(), l.ExpiresAt),
	}})
	return nil
}

func (s *Server) renewLease(w http.ResponseWriter, r *request) error {
	at, err := leaseOf(r)
	if err != nil {
		return err
	}
	increment, err := r.fields.duration("increment")
	if err != nil {
		return err
	}
	if at.ID == "" {
		return noLease()
	}
	l, asked, err := s.config.Native.Renew(r.Context(), at.ID, increment)
	if err != nil {
		err = as(err, refuse("lease is not renewable"), "not_renewable")
		return as(err, noLease(), codeNotFound, "lease_not_active", "lease_ended")
	}
	out := s.leased(l)
	// More than a second, since an answer takes its time.
	switch left := l.ExpiresAt.Sub(s.config.Now()); {
	case asked-left > time.Second:
		out.Warnings = []string{fmt.Sprintf("%s were asked for, and the lease ends in %s, at the end of the longest life that its secret allows", types.Duration(asked), types.Duration(time.Duration(seconds(s.config.Now(), l.ExpiresAt))*time.Second))}
	case increment > 0 && left-increment > time.Second:
		out.Warnings = []string{"the lease ends later than was asked for: renewing never moves an end to an earlier time"}
	}
	write(w, http.StatusOK, out)
	return nil
}

func (s *Server) revokeLease(w http.ResponseWriter, r *request) error {
	at, err := leaseOf(r)
	if err != nil {
		return err
	}
	if at.ID != "" {
		if _, err := s.config.Native.Revoke(r.Context(), at.ID); err != nil && codeOf(err) != codeNotFound {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent) // what is not there is revoked
	return nil
}

func (s *Server) revokePrefix(w http.ResponseWriter, r *request) error {
	return s.revokeAll(w, r, false)
}

func (s *Server) revokeForce(w http.ResponseWriter, r *request) error { return s.revokeAll(w, r, true) }

func (s *Server) revokeAll(w http.ResponseWriter, r *request, force bool) error {
	at, ok := parsePlace(r.rest)
	if r.rest == "" || !ok {
		return refuse("a prefix of lease ids is required, in whole segments: app, app/env, app/env/creds/name")
	}
	if at.ID != "" && !force {
		if _, err := s.config.Native.Revoke(r.Context(), at.ID); err != nil && codeOf(err) != codeNotFound {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if at.ID != "" {
		return refuse("one lease is not given up by force here: revoke it, or use brokerctl lease forget")
	}
	op, err := s.config.Native.RevokeAll(r.Context(), at, force)
	if err != nil {
		return err
	}
	if op.State != "running" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	warning := fmt.Sprintf("%d of %d leases have ended so far; the broker goes on until all have: operation %s", op.Done, op.Total, op.ID)
	if force {
		warning += "; what cannot be removed is given up when this is asked for again"
	}
	write(w, http.StatusOK, &answer{Data: map[string]any{"operation": op.ID}, Warnings: []string{warning}})
	return nil
}

// listLeases lists what stands below a prefix.
func (s *Server) listLeases(w http.ResponseWriter, r *request) error {
	at, ok := parsePlace(r.rest)
	if !ok || at.ID != "" {
		return nothingThere()
	}
	keys, err := s.config.Native.Beneath(r.Context(), at)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return nothingThere()
	}
	write(w, http.StatusOK, &answer{Data: map[string]any{"keys": slices.Clip(keys)}})
	return nil
}

// nothingThere is the answer to a list without anything in it, which has no sentence.
func nothingThere() error {
	return &types.Problem{Status: http.StatusNotFound, Code: codeNotFound}
}
