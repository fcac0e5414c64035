package types

import "time"

// Member is one node of the cluster.
type Member struct {
	ID                string     `json:"id"`
	APIAddress        string     `json:"api_address,omitempty" doc:"URL of its API"`
	ClusterAddress    string     `json:"cluster_address,omitempty"`
	GossipAddress     string     `json:"gossip_address,omitempty"`
	Version           string     `json:"version,omitempty" doc:"Of its program"`
	FeatureLevel      uint64     `json:"feature_level,omitempty" doc:"The highest feature level that it reads"`
	Voter             bool       `json:"voter"`
	State             string     `json:"state,omitempty" enum:"voter,non-voter,promoting" doc:"promoting: it gets a vote once it has been well for a while; non-voter: it was demoted, and gets one by hand"`
	Trouble           string     `json:"trouble,omitempty" doc:"What keeps it from being worth a vote now"`
	Leader            bool       `json:"leader"`
	Alive             bool       `json:"alive" doc:"As the answering node sees it"`
	AppliedIndex      uint64     `json:"applied_index,omitempty" doc:"When the answering node knows it"`
	Lag               *uint64    `json:"lag,omitempty" doc:"Log entries it had less than the answering node; absent when it does not answer"`
	LastContactMS     *int64     `json:"last_contact_ms,omitempty" doc:"Milliseconds since it answered the answering node; absent when it never did"`
	CertificateEndsAt *time.Time `json:"certificate_ends_at,omitempty" doc:"When the certificate ends that it shows to other nodes; absent when it has not said"`
	ClockOffsetMS     *int64     `json:"clock_offset_ms,omitempty" doc:"Milliseconds that its clock is ahead of the answering node's; absent when unknown"`
}

// MemberChange asks for a change of a node's vote.
type MemberChange struct {
	Reason string `json:"reason,omitempty" maxLength:"1024" doc:"Why; part of the history"`
}

// TransferSpec asks for another leader.
type TransferSpec struct {
	To string `json:"to,omitempty" maxLength:"63" doc:"The node that is to lead; one that is fit unless said"`
}

// Transfer is a change of leader.
type Transfer struct {
	From string `json:"from"`
	To   string `json:"to,omitempty" doc:"Absent when the answering node had not heard of it in time"`
}

// Upgrade is a change of the feature level in force.
type Upgrade struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to" doc:"The same as from when there was nothing to raise"`
}
