package trust

import "errors"

var (
	// ErrStranger is returned for a certificate that is no node's of this cluster.
	ErrStranger = errors.New("the certificate is not that of a node of this cluster")

	// ErrForeign is returned for the certificate of a node of another cluster.
	ErrForeign = errors.New("the certificate is that of a node of another cluster")

	// ErrRemoved is returned for the key of a node that was removed from the cluster.
	ErrRemoved = errors.New("the node was removed from the cluster")

	// ErrToken is returned for a text that is no join token.
	ErrToken = errors.New("that is no join token")

	// ErrFile is returned when the file of what a node knows is damaged, open to others or not of this program.
	ErrFile = errors.New("the node's identity cannot be used")
)
