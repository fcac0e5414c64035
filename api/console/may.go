package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// question is what ask takes.
func question(action, resource string) client.Question {
	return client.Question{Action: action, Resource: resource}
}

// ask finds out in one call what the session may do, for May to answer; what the navigation around a page needs to know
// goes along. Questions are pairs of an action and a resource.
func (p *page) ask(questions ...client.Question) error {
	if p.Account != "" && p.r.Header.Get(headerPart) == "" {
		questions = append(questions, placeQuestions()...)
	}
	questions = slices.DeleteFunc(questions, func(q client.Question) bool { _, known := p.may[q]; return known })
	for len(questions) > 0 {
		n := fitting(questions)
		answers, err := p.Client.Can(p.ctx, questions[:n])
		questions = questions[n:]
		if err != nil {
			return err
		}
		for _, one := range answers {
			p.may[client.Question{Action: one.Action, Resource: one.Resource}] = one.Allowed
		}
	}
	return nil
}

// fitting is how many questions one call takes: the API bounds their number, and the length of the address that they stand in.
func fitting(questions []client.Question) int {
	const most, longest = 200, 7500
	size := 0
	for i, one := range questions {
		if size += len("&question=") + len(url.QueryEscape(one.Action+" "+one.Resource)); i == most || i > 0 && size > longest {
			return i
		}
	}
	return len(questions)
}

// May reports whether the session may do something. What ask was not told costs a call of its own.
func (p *page) May(action, resource string) bool {
	q := client.Question{Action: action, Resource: resource}
	if _, known := p.may[q]; !known {
		if err := p.ask(q); err != nil {
			return false // it is not offered; who asks all the same is told why not
		}
	}
	return p.may[q]
}

// needing wraps a form that is for those alone who may do something: others are told so before they fill it in. {name} in
// the resource is that part of the path.
func needing(action, resource string, handle func(*page) error) func(*page) error {
	before, rest, _ := strings.Cut(resource, "{")
	name, _, _ := strings.Cut(rest, "}")
	return func(p *page) error {
		on := before
		if name != "" {
			on += p.param(name)
		}
		if !p.posted() && !p.May(action, on) {
			return &types.Problem{Status: http.StatusForbidden, Code: "forbidden", Title: "You may not do that", Extra: map[string]any{"action": action, "resource": on}}
		}
		return handle(p)
	}
}
