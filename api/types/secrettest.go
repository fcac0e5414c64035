package types

// SecretTestSpec says how to test a secret.
type SecretTestSpec struct {
	Parameters map[string]any `json:"parameters,omitempty" doc:"What the provider takes besides, as for a lease"`
}

// SecretTest is what a test of a secret found.
type SecretTest struct {
	Secret string           `json:"secret" example:"payments/production/orders-ro"`
	Passed bool             `json:"passed" doc:"No step failed"`
	Steps  []SecretTestStep `json:"steps" nullable:"false" doc:"In the order in which they were tried; empty in a dry run"`
	Lease  Lease            `json:"lease" doc:"The lease that was made for the test, as it was at its end"`
}

// SecretTestStep is how one step of a test went.
type SecretTestStep struct {
	Step   string `json:"step" enum:"issue,log_in,renew,revoke,log_in_refused"`
	Result string `json:"result" enum:"ok,failed,skipped"`
	TookMS int64  `json:"took_ms" doc:"How long it took, in milliseconds"`
	Error  string `json:"error,omitempty" doc:"Of a step that failed"`
	Hint   string `json:"hint,omitempty" doc:"What to do about it, such as which privilege is missing"`
	Reason string `json:"reason,omitempty" doc:"Why a step was skipped"`
}

// The results of a step.
const (
	TestOK      = "ok"
	TestFailed  = "failed"
	TestSkipped = "skipped"
)

// SecretPreview is what a lease of a secret would do at the outside system.
type SecretPreview struct {
	Username   string   `json:"username" example:"brk_c4c4_orders_ro_xxxxxxxxxxxxxxxx" doc:"The login's name, with x in place of its unique part"`
	Connection string   `json:"connection"`
	Provider   string   `json:"provider"`
	Steps      []string `json:"steps" nullable:"false" doc:"What would be carried out, in the system's own language where it has one, secret values as placeholders; empty when the provider cannot tell"`
}
