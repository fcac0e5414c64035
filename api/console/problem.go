package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"broker/api/client"
	"broker/api/types"
)

// errNoPage is returned for a path that leads nowhere.
var errNoPage = errors.New("there is no such page")

// problemView is what went wrong, as people are told.
type problemView struct {
	Status  int
	Code    string
	Title   string
	Detail  string
	Hint    string
	Request string // the id of the request, as the nodes' logs have it
	Field   string // the first one to blame
	Fields  []fieldProblem
	Unknown bool // it may have been done
	Reload  bool // another try may well succeed

	Changed *changed // what a form was about is not what it was any more
	version uint64   // that it has
}

type fieldProblem struct{ Field, Message string }

// changed says who changed something meanwhile, as far as whoever asks may know.
type changed struct {
	By   string
	At   timeView
	Path string // where it can be seen as it is now
}

func isUnauthenticated(err error) bool { return client.Code(err) == "unauthenticated" }

// isLeaderless reports whether a reading failed for want of a leader, so that what the node has is all there is.
func isLeaderless(err error) bool {
	var unreachable *client.UnreachableError
	switch client.Code(err) {
	case "no_leader", "not_leader", "too_stale", "timeout":
		return true
	}
	return errors.As(err, &unreachable) || errors.Is(err, client.ErrTimeout)
}

// problemOf says what an error means.
func problemOf(err error) problemView {
	var problem *types.Problem
	switch {
	case errors.Is(err, errNoPage):
		return problemView{Status: http.StatusNotFound, Code: "no_such_page", Title: "There is no such page", Detail: "The address leads nowhere: it may be mistyped, or what it led to is gone."}
	case errors.As(err, &problem):
	case errors.Is(err, client.ErrOutcomeUnknown):
		return problemView{Status: http.StatusServiceUnavailable, Code: "outcome_unknown", Title: "Nobody knows whether it was done", Unknown: true,
			Detail: "The leader gave no answer. Sending the form again is safe: nothing is done twice."}
	case client.Unavailable(err):
		return problemView{Status: http.StatusServiceUnavailable, Code: "unavailable", Title: "The broker does not answer in time", Detail: "Nothing is known to have been done.", Reload: true, Unknown: true}
	default:
		return problemView{Status: http.StatusInternalServerError, Code: "internal_error", Title: "Something went wrong here", Detail: "The page cannot be made; the node's log tells why."}
	}
	v := problemView{Status: problem.Status, Code: problem.Code, Title: problem.Title, Detail: problem.Detail, Hint: problem.Hint, Request: problem.RequestID()}
	if len(problem.Errors) > 0 {
		v.Field = problem.Errors[0].Field
	}
	switch problem.Code {
	case "forbidden":
		v.Title = "You may not do that"
		if action, resource := problem.Extra["action"], problem.Extra["resource"]; action != nil {
			v.Detail = fmt.Sprintf("It needs %v on %v.", action, resource)
		}
	case "not_found":
		v.Title = "It is not there"
	case "no_leader", "not_leader":
		v.Title, v.Reload = "There is no leader at the moment", true
		v.Detail = "Nothing was done: changes need a leader, and this node hears of none. Most elections take a few seconds."
	case "outcome_unknown", "timeout":
		v.Title, v.Unknown = "Nobody knows whether it was done", true
		v.Detail = "The leader gave no answer in time. Sending the form again is safe: nothing is done twice."
	case "version_mismatch":
		v.Title, v.Changed = "It was changed meanwhile", &changed{}
		v.Detail = "What you typed is still here. Nothing of it was done."
		v.version = client.PresentVersion(err)
	}
	return v
}

// whoChanged finds out by whom and when something got its version.
func (p *page) whoChanged(version uint64) changed {
	out := changed{At: timeView{None: true}, Path: p.Path()}
	if found, ok := p.Client.ChangedBy(p.ctx, version); ok { // else it is not this person's to know
		out.By, out.At = cmp.Or(found.Actor, "the broker itself"), timeOf(p.Now(), found.At)
	}
	return out
}

// showProblem answers with a page, or a dialog, that tells what is wrong.
func (p *page) showProblem(err error) error {
	v := problemOf(err)
	if v.Status >= http.StatusInternalServerError && v.Code == "internal_error" {
		p.console.log.ErrorContext(p.ctx, "a page failed", "path", p.r.URL.Path, "error", err)
	}
	p.w.Header().Set(headerProblem, v.Code)
	return p.show(screen{Title: v.Title, Template: "problem", Data: v, Status: v.Status, Bare: p.Account == ""})
}
