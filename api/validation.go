package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"broker/api/types"
)

// setUpHuma makes every error that huma raises by itself a [types.Problem], and field names exact.
// huma has only package variables for that; they are set once, here, before the first API is built.
var setUpHuma = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return validationProblem(status, message, errs)
	}
})

// validationProblem translates what huma found wrong with a request. It drops the values that huma
// echoes: a body may hold a root credential.
func validationProblem(status int, message string, errs []error) *types.Problem {
	var fields []types.FieldProblem
	codes := map[string]bool{}
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if !errors.As(err, &detail) {
			continue // its text is not known to be free of values
		}
		code, field := fieldProblem(detail)
		codes[code] = true
		fields = append(fields, field)
	}
	code := codeInvalid
	switch {
	case status == 0:
		return &types.Problem{} // huma asks for the shape of errors, to describe it
	case status == http.StatusRequestEntityTooLarge:
		return problem(codeTooLarge, "the request's body is too large")
	case status == http.StatusUnsupportedMediaType:
		return problem(codeMediaType, "the request's Content-Type is not application/json")
	case status == http.StatusRequestTimeout:
		return problem(codeTimeout, "the request's body came too slowly")
	case status >= http.StatusInternalServerError:
		return problem(codeInternal, "an internal error happened; the node's log tells more under this request's id")
	case status == http.StatusBadRequest:
		code = codeMalformed
	case len(codes) == 1:
		for only := range codes {
			code = only
		}
	}
	if len(fields) == 0 {
		return problem(code, message)
	}
	return fieldsProblem(code, fields)
}

// fieldProblem says in the broker's words what huma says about one place.
func fieldProblem(detail *huma.ErrorDetail) (code string, out types.FieldProblem) {
	where, field, _ := strings.Cut(detail.Location, ".")
	if where != "body" {
		out.Field = field
	} else {
		out.Field = strings.TrimPrefix(detail.Location, "body")
		out.Field = strings.TrimPrefix(out.Field, ".")
	}
	out.Message, code = detail.Message, codeInvalid
	switch {
	case detail.Message == validation.MsgUnexpectedProperty:
		out.Message, code = "there is no such field", codeUnknownField
	case strings.HasPrefix(detail.Message, "expected required property "):
		name := strings.TrimSuffix(strings.TrimPrefix(detail.Message, "expected required property "), " to be present")
		out.Field = strings.TrimPrefix(out.Field+"."+name, ".")
		out.Message, code = "is required", codeMissingField
	case detail.Message == "unknown query parameter":
		out.Message, code = "there is no such query parameter", codeUnknownParameter
	case detail.Message == validation.MsgExpectedMatchAtLeastOneSchema:
		// Durations are the only values with alternatives; a test holds that.
		out.Message = types.DurationRule
	case strings.HasPrefix(detail.Message, "expected value to be "):
		out.Message = "must be " + strings.TrimPrefix(detail.Message, "expected value to be ")
	case strings.HasPrefix(detail.Message, "expected "):
		out.Message = "must be " + strings.TrimPrefix(detail.Message, "expected ")
	}
	return code, out
}

// durationSchema stands for [types.Duration] in the description of the API, so that package types
// need not know huma.
type durationSchema struct{}

// Schema describes a duration: text or whole seconds.
func (durationSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "A length of time: seconds, or a text such as 1h30m. Answers hold seconds.",
		AnyOf: []*huma.Schema{
			{Type: huma.TypeInteger},
			{Type: huma.TypeString, Pattern: `^-?([0-9]+d)?([0-9]+(\.[0-9]+)?(h|m|s|ms))*$`},
			{Type: huma.TypeString, Pattern: `^-?[0-9]+$`},
		},
	}
}

// strictJSON is huma's JSON without HTML escapes, and with messages that hold no part of the input.
func strictJSON() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			encoder := json.NewEncoder(w)
			encoder.SetEscapeHTML(false)
			return encoder.Encode(v)
		},
		Unmarshal: func(data []byte, v any) error {
			if err := strict(data); err != nil {
				return err
			}
			return withoutInput(json.Unmarshal(data, v))
		},
	}
}

// withoutInput replaces an error of decoding JSON by one that says where, not what.
func withoutInput(err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return &jsonError{"the body is not valid JSON: something is wrong near byte " + strconv.FormatInt(syntax.Offset, 10)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &jsonError{"the body ends before its JSON does"}
	case errors.As(err, &kind):
		return &jsonError{"the value of " + kind.Field + " has the wrong type: want " + kind.Type.String()}
	case errors.Is(err, types.ErrDuration):
		return types.ErrDuration
	}
	return &jsonError{"the body is not the JSON that is expected here"}
}

type jsonError struct{ text string }

func (e *jsonError) Error() string { return e.text }
