package api

import (
	"maps"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"broker/api/types"
)

// describe completes the description of the API with what the library cannot read off the types:
// further statuses, headers, and the members that some problems have besides.
func (r *routes) describe() {
	api := r.api.OpenAPI()
	api.Components.Headers = headers()
	for _, path := range api.Paths {
		for method, operation := range map[string]*huma.Operation{
			http.MethodGet: path.Get, http.MethodPost: path.Post, http.MethodPatch: path.Patch, http.MethodDelete: path.Delete,
		} {
			if operation != nil {
				describeOperation(method, operation)
			}
		}
	}
	problem := api.Components.Schemas.Map()["Problem"]
	problem.AdditionalProperties = true
	maps.Copy(problem.Properties, extras())
}

// describeStream adds to the listing of history that it can be followed.
func (r *routes) describeStream(streams *routes) {
	list, stream := r.api.OpenAPI().Paths[apiPrefix+"/events"].Get, streams.api.OpenAPI().Paths[apiPrefix+"/events"].Get
	for _, one := range stream.Parameters {
		if one.Name == "Last-Event-ID" {
			list.Parameters = append(list.Parameters, one)
		}
	}
	list.Description = "With Accept: text/event-stream the answer does not end: each event is a message whose id resumes the stream " +
		"behind it, at any node, by Last-Event-ID or after. Without a beginning it begins with what happens from now on. A message of type " +
		types.EventEnd + " holds the problem for which the node ends the stream; one without data moves the position only."
	list.Responses["200"].Content[streamContentType] = &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeString, Description: "Server-sent events: id is a position, event the type, data an Event as JSON",
	}}
}

func describeOperation(method string, operation *huma.Operation) {
	responses := operation.Responses
	made := strconv.Itoa(operation.DefaultStatus)
	if triable(operation) && operation.DefaultStatus != http.StatusOK {
		success := responses[made]
		tried := &huma.Response{Description: "Dry run: what would be; nothing was changed", Content: success.Content}
		switch {
		case len(success.Content) > 0:
			responses["200"] = tried
		default:
			success.Description = "Done; in a dry run: it would be"
		}
	}
	switch {
	case method == http.MethodDelete && made == "202":
		responses["204"] = &huma.Response{Description: "Deleted; in a dry run: it would be"}
		responses["202"].Description = "With revoke_leases: the operation that deletes it"
	case goesOn[operation.OperationID]:
		responses["202"] = &huma.Response{Description: "It has begun and goes on by itself", Content: responses["200"].Content}
	}
	for status, response := range responses {
		names := []string{types.HeaderRequestID, types.HeaderNode}
		switch {
		case status == "default":
			names = append(names, "Retry-After")
		case method == http.MethodGet:
			names = append(names, types.HeaderIndex, types.HeaderConsistency, types.HeaderStaleness)
		default:
			names = append(names, types.HeaderIndex)
		}
		if status == "202" && !goesOn[operation.OperationID] {
			names = append(names, "Location")
		}
		if status == "200" || status == "201" {
			names = append(names, "ETag")
		}
		response.Headers = map[string]*huma.Param{}
		for _, name := range names {
			response.Headers[name] = &huma.Param{Ref: "#/components/headers/" + name}
		}
	}
}

// goesOn are the operations whose 202 shows what they are about, in place of an operation of its own. Nobody changes it.
var goesOn = map[string]bool{"lease-revoke": true, "lease-retry": true, "connection-rotate": true}

// triable reports whether the operation has a dry run.
func triable(operation *huma.Operation) bool {
	for _, one := range operation.Parameters {
		if one.Name == "dry_run" {
			return true
		}
	}
	return false
}

// headers describes those of answers.
func headers() map[string]*huma.Param {
	text, number := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeInteger}
	return map[string]*huma.Param{
		types.HeaderIndex:       {Schema: number, Description: "Index of the log up to which the answer is true; send it back as Broker-Min-Index"},
		types.HeaderNode:        {Schema: text, Description: "The node that answered"},
		types.HeaderConsistency: {Schema: text, Description: "How the read was made: linearizable, session or stale"},
		types.HeaderStaleness:   {Schema: text, Description: "Of a stale read: milliseconds since the node heard of a leader, or unknown"},
		types.HeaderRequestID:   {Schema: text, Description: "Names the request in problems and logs"},
		"ETag":                  {Schema: text, Description: "Version of the one object that is answered, quoted; send it as If-Match"},
		"Location":              {Schema: text, Description: "Path of the operation that goes on"},
		"Retry-After":           {Schema: number, Description: "With 429 and 503: seconds to wait"},
	}
}

// extras describes the members that problems of some codes have besides those of all. Other codes may
// have others.
func extras() map[string]*huma.Schema {
	text := func(what string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: what} }
	number := func(what string) *huma.Schema { return &huma.Schema{Type: huma.TypeInteger, Description: what} }
	return map[string]*huma.Schema{
		"retry_after":   number("Seconds to wait before the next try; the header Retry-After says the same"),
		"renewable_ttl": number("By how many seconds the lease can still be extended"),
		"version":       number("The object's version, with 412"),
		"leases":        number("How many leases stand in the way, or are chosen"),
		"max_leases":    number("How many live leases are allowed"),
		"lease_id":      text("The lease that it is about"),
		"lock_id":       text("The lock that stops it, or that stands"),
		"operation_id":  text("The operation that deletes it"),
		"connection":    text("The connection that it is about"),
		"paused_until":  text("The end of the connection's pause"),
	}
}
