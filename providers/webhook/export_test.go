package webhook

// Sign is the signature of a request.
var Sign = sign
