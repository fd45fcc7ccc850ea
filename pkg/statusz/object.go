package statusz

import "time"

// ObjectReport is all that a replica knows of one object.
type ObjectReport struct {
	// Version is that of this form: Version.
	Version string `json:"version"`
	// Time is when the report was made.
	Time   time.Time `json:"time"`
	Object ObjectRef `json:"object"`
	// Leading says whether the replica works. A standby has handled nothing since it led.
	Leading bool `json:"leading"`
	// Definitions are those that watch the object, sorted by name.
	Definitions []ObjectIn `json:"definitions"`
	// ChildOf are the parents whose child it is.
	ChildOf []ObjectRow `json:"childOf,omitempty"`
}

// ObjectIn is the object in one definition.
type ObjectIn struct {
	Definition string `json:"definition"`
	// Cached says that its source has the object, Matches that the definition wants it.
	Cached  bool `json:"cached"`
	Matches bool `json:"matches"`
	// Waiting says what it waits for now: a worker, a retry with the time until then, nothing.
	Waiting string `json:"waiting"`
	// Failures is how many calls failed in a row, and Error the last error.
	Failures int    `json:"failures,omitempty"`
	Error    string `json:"error,omitempty"`
	// GivenUp says that there is no retry: it was the last one, or the error says that none would
	// help. A change of the object, a resync, and another leader have it called again.
	GivenUp bool `json:"givenUp,omitempty"`
	// Blocked are what keeps it from being ready, fights, what is held or refused.
	Blocked []ObjectRow `json:"blocked,omitempty"`
	// Handlings are the last ones, the newest first.
	Handlings []Handling `json:"handlings,omitempty"`
}

// Handling is one call of a handler for an object.
type Handling struct {
	// Began is when, and Took how long.
	Began time.Time `json:"began"`
	Took  Seconds   `json:"took"`
	// Cause is why it was called, as in Request.Cause.
	Cause string `json:"cause"`
	// Attempt counts the calls since the last success, from 1.
	Attempt int `json:"attempt"`
	// Changed are the paths that the changes of the object since the call before were about, as
	// they are written in ignore, at most eight. What a composer's runtime has written itself is
	// not among them. Empty when nothing has changed or when that is not known.
	Changed []string `json:"changed,omitempty"`
	// By is what else called for it: the last child or related object whose event it was, as
	// KIND/NAMESPACE/NAME, or KIND/NAME where there is no namespace.
	By string `json:"by,omitempty"`
	// Writes are what was written to the API server in the call, at most sixteen; WritesTotal
	// counts all.
	Writes      []Write `json:"writes,omitempty"`
	WritesTotal int     `json:"writesTotal,omitempty"`
	// Result is done, requeue, retry, exhausted (out of retries), terminal, panic or cancelled.
	Result string `json:"result"`
	// Error is the text of a failure, one line without secrets, at most 512 bytes.
	Error string `json:"error,omitempty"`
	// Again is when it is called again without a change; zero for never.
	Again time.Time `json:"again,omitzero"`
}

// Write is one request that changes something.
type Write struct {
	// Verb is that of Kubernetes: create, patch, update, delete, deletecollection.
	Verb string `json:"verb"`
	// Object is what was written, as RESOURCE/NAMESPACE/NAME, or RESOURCE/NAME where there is no
	// namespace. The name is missing where the API server gives it.
	Object string `json:"object"`
	// Kind is that of the object, where the replica has it in a cache of what a definition watches
	// or has made: then there is a report of it. Else it is empty.
	Kind string `json:"kind,omitempty"`
	// Subresource is that of the object, such as status; empty for the object itself.
	Subresource string `json:"subresource,omitempty"`
	// Status is the code of the answer; 0 when there was none, or the request was not sent.
	Status int `json:"status"`
}
