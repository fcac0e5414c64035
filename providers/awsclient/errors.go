package awsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"broker/providers"
)

// HasCode reports whether AWS answered with one of the error codes.
func HasCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}

// Absent reports whether AWS answered that something does not exist.
func Absent(err error) bool { return HasCode(err, "NoSuchEntity") }

// Denied reports whether AWS answered that the caller may not do that.
func Denied(err error) bool { return HasCode(err, "AccessDenied", "AccessDeniedException") }

var throttled = []string{"Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "RequestThrottled", "SlowDown"}

// Throttled reports whether AWS refused a call because too many came.
func Throttled(err error) bool { return HasCode(err, throttled...) }

// Unsent reports whether a call certainly did not reach AWS.
func Unsent(err error) bool {
	var op *net.OpError
	var credentials *credentialsError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &certificate) || errors.As(err, &credentials) ||
		errors.Is(err, providers.ErrAddressRefused)
}

// Classify turns an error of the SDK into the broker's. doing says what was attempted, in the gerund.
func Classify(err error, doing string) *providers.Error {
	var classified *providers.Error
	if errors.As(err, &classified) {
		return classified
	}
	e := &providers.Error{Err: fmt.Errorf("%s: %w", doing, text(err))}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Kind, e.Hint = kindOf(err, api)
		e.Busy = Throttled(err)
		e.Blocked = HasCode(err, "DeleteConflict", "ConcurrentModification", "EntityTemporarilyUnmodifiable", "LimitExceeded")
		return e
	}
	var certificate *tls.CertificateVerificationError
	if Unsent(err) {
		e.Kind = providers.KindUnavailable
	}
	var credentials *credentialsError
	switch {
	case errors.As(err, &credentials):
		e.Hint = "Look at the broker's machines: whether they have an identity at AWS that they may be told (an instance role with IMDSv2, a role of the pod or task), or give the connection keys."
	case errors.As(err, &certificate):
		e.Hint = "Put the authority that signed the endpoint's certificate into " + providers.FieldTLSCA + "."
	}
	return e
}

func kindOf(err error, api smithy.APIError) (providers.Kind, string) {
	var answer *awshttp.ResponseError
	status := http.StatusBadRequest
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	switch {
	case Throttled(err):
		return providers.KindUnavailable, "AWS limits how often IAM may be called, for everybody in the account together."
	case Denied(err):
		return providers.KindRejected, denialHint(err, api)
	case expired(api):
		return providers.KindRejected, "By AWS's clock the time for it had passed: compare the clocks of the broker's machines with the real time."
	case HasCode(err, "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken"):
		return providers.KindRejected, "Check access key and secret of the connection: the key may have been deleted or deactivated, or belong to another partition than the region."
	case HasCode(err, "ExpiredToken", "ExpiredTokenException"):
		return providers.KindRejected, "The temporary credential of the connection has ended: give it another, or better a lasting one."
	case HasCode(err, "EntityAlreadyExists"):
		return providers.KindExists, ""
	case HasCode(err, "LimitExceeded"):
		return providers.KindRejected, "A quota of the account is used up; Service Quotas in the console of AWS shows and raises it."
	case status == http.StatusServiceUnavailable:
		return providers.KindUnavailable, ""
	case status >= 500:
		return providers.KindUnknown, ""
	}
	return providers.KindRejected, ""
}

// expired reports whether a signature was too old when the call arrived.
func expired(api smithy.APIError) bool {
	return api.ErrorCode() == "RequestExpired" || strings.Contains(api.ErrorMessage(), "Signature expired")
}

var (
	deniedAction   = regexp.MustCompile(`perform: (\w+:\w+)`)
	deniedResource = regexp.MustCompile(`on resource: (\S+)`)
)

// denialHint names the action that is missing, and where.
func denialHint(err error, api smithy.APIError) string {
	action, on := "", ""
	if found := deniedAction.FindStringSubmatch(api.ErrorMessage()); found != nil {
		action = found[1]
	}
	var operation *smithy.OperationError
	if action == "" && errors.As(err, &operation) {
		action = strings.ToLower(operation.Service()) + ":" + operation.Operation()
	}
	if found := deniedResource.FindStringSubmatch(api.ErrorMessage()); found != nil {
		on = " on " + found[1]
	}
	switch {
	case action == "sts:AssumeRole":
		return fmt.Sprintf("Allow sts:AssumeRole%s to who assumes the role, and let the role's trust policy name it (with the external id, if it asks for one).", on)
	case strings.Contains(api.ErrorMessage(), "explicit deny"):
		return fmt.Sprintf("A policy denies %s%s explicitly: look at service control policies, permissions boundaries and deny statements.", action, on)
	}
	return fmt.Sprintf("Allow %s%s to the root account; the provider's page has the whole policy.", action, on)
}

// text shortens what the SDK says: the code and the message of AWS's answer, or the cause of there being none.
func text(err error) error {
	var getting *credentialsError
	if errors.As(err, &getting) {
		return fmt.Errorf("getting credentials of %s: %w", getting.what, brief(getting.err))
	}
	return brief(err)
}

func brief(err error) error {
	var api smithy.APIError
	var operation *smithy.OperationError
	var exchange *url.Error
	if !errors.As(err, &operation) {
		return err
	}
	switch {
	case errors.As(err, &api):
		return fmt.Errorf("%s: %s: %s", operation.Operation(), api.ErrorCode(), api.ErrorMessage())
	case errors.As(err, &exchange):
		return fmt.Errorf("%s at %s: %w", operation.Operation(), exchange.URL, exchange.Err)
	}
	return fmt.Errorf("%s: %w", operation.Operation(), operation.Err)
}
