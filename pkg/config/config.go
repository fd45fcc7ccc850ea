package config

import (
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds/crd"
	"kooperd.dev/kooperd/pkg/trigger"
)

// Config is one checked configuration. It is immutable: whoever holds one may read it from any
// goroutine and must not change it.
type Config struct {
	// LeaderElection describes the one lease around the engine.
	LeaderElection LeaderElection
	// Engine bounds what all definitions do together.
	Engine Engine
	// Definitions are the definitions, sorted by name.
	Definitions []Definition
	// Kinds are the custom kinds that the files declare, sorted by kind, with every default filled
	// in. The daemon does nothing with them: who installs kinds is another one.
	Kinds []crd.Definition
	// Removed are the names of definitions that are meant to be gone, sorted and without
	// duplicates. None of them is in Definitions.
	Removed []string
	// Hash is the SHA-256 of the files' contents, imported ones included, in hexadecimal. It is the
	// same whatever the files are called and wherever they lie, as long as the CUE files lie the
	// same way to each other.
	Hash string
	// Files are the files that were read, as they were named or found, sorted.
	Files []string
}

// LeaderElection is the lease and its timings.
type LeaderElection struct {
	// Disabled runs everything at once, without a lease.
	Disabled bool
	// Name is the name of the Lease. Default: kooperd, also when Disabled: composers mark their
	// children with it.
	Name string
	// Namespace is where the Lease is. Empty, the default, leaves the choice to the daemon:
	// $POD_NAMESPACE, else the service account's, else the kubeconfig context's, else "default".
	Namespace string
	// LeaseDuration is how long a standby waits after the last renewal it saw. Default: 15s.
	LeaseDuration time.Duration
	// RenewDeadline is how long a leader goes on without a successful renewal. Default: 10s.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two tries. Default: 2s.
	RetryPeriod time.Duration
	// OnLost is what follows the loss of the lease. Default: exit.
	OnLost OnLost
	// Lock is the kind of object that holds the record of the leader. Default: lease.
	Lock Lock
}

// Engine bounds what all definitions do together.
type Engine struct {
	// MaxConcurrent is how many handler calls are made at a time by all definitions together; 0,
	// the default, is any number.
	MaxConcurrent int
}

// OnLost is what follows the loss of the lease.
type OnLost string

// What may follow the loss of the lease.
const (
	// Exit ends the process with status 3.
	Exit OnLost = "exit"
	// Standby stops all work, keeps the caches and competes again in the same process.
	Standby OnLost = "standby"
)

// Lock is a kind of object that holds the record of the leader.
type Lock string

// The locks.
const (
	// LeaseLock is a coordination.k8s.io/v1 Lease.
	LeaseLock Lock = "lease"
	// ConfigMapLock is an annotation of a ConfigMap, as Kooper before v2.5 and old client-go wrote
	// it.
	ConfigMapLock Lock = "configMap"
)

// OnRemove says what becomes of the children of objects that a definition does not handle any more
// because of a change of the file.
type OnRemove string

// What may become of children.
const (
	// Retain leaves them as they are.
	Retain OnRemove = "retain"
	// Orphan takes the marks and owner references away.
	Orphan OnRemove = "orphan"
	// Delete deletes them.
	Delete OnRemove = "delete"
)

// Mode says how many objects of a definition are handled at a time.
type Mode string

// The modes.
const (
	// Sequential handles one object at a time.
	Sequential Mode = "sequential"
	// Concurrent handles up to Workers objects at a time, never one object twice.
	Concurrent Mode = "concurrent"
)

// Definition is one definition.
type Definition struct {
	// Name is the definition's name, a DNS label.
	Name string
	// Watch names the objects.
	Watch Watch
	// Filter decides which changes call the handler; nil, the default, lets all of them through.
	Filter *trigger.Filter
	// Handler is the plugin with its checked config.
	Handler handlers.Bound
	// Mode is sequential or concurrent. Default: sequential.
	Mode Mode
	// Workers is how many objects are handled at a time: always 1 when Mode is Sequential. Default:
	// 3.
	Workers int
	// Resync is the period in which every object is handled again; 0, the default, is off.
	Resync time.Duration
	// Retry is what follows a failed call.
	Retry Retry
	// Rate bounds how often objects are handled; the zero Rate, the default, does not.
	Rate Rate
	// Timeout is the deadline of one call. Default: 1m.
	Timeout time.Duration
	// EveryReplica is true when the definition says leaderElection: "disabled": it runs on every
	// replica.
	EveryReplica bool
	// Finalizer is put into the objects before they are handled, and taken out when the handler has
	// finalized them; empty, the default, is none.
	Finalizer string
	// Children is what only the definition of a composer says.
	Children
	// Paused keeps the definition without running it.
	Paused bool
	// Digest is over everything above but Name, and ID where that is the same, with defaults filled
	// in.
	Digest Digest
}

// Status says what is written to the status of a composer's objects; the zero value is everything.
type Status struct {
	// None is true when nothing is written.
	None bool
	// ConditionPrefix is what the types of all conditions begin with, and nothing but conditions is
	// written then; empty, the default, is none.
	ConditionPrefix string
}

// Rate bounds how often the objects of one definition are handled: within any t seconds at most
// Burst + PerSecond*t times.
type Rate struct {
	// PerSecond is how many calls a second are allowed for; 0 is any number.
	PerSecond float64
	// Burst is how many calls may be made at once after a quiet time. Default: 1.
	Burst int
}

// Watch names the objects that a definition watches.
type Watch struct {
	// Kind is the watched kind.
	Kind schema.GroupVersionKind
	// Namespaces are watched one by one, sorted and without duplicates; nil means all of the
	// cluster.
	Namespaces []string
	// LabelSelector is applied by the API server; nil selects everything. The text of it is the
	// same for equal selectors.
	LabelSelector labels.Selector
	// FieldSelector is applied by the API server; nil selects everything. The text of it is the
	// same for equal selectors.
	FieldSelector fields.Selector
}

// Retry is what follows a failed call: an exponential delay per object, reset by a success.
type Retry struct {
	// MaxRetries is how many retries an object gets before it is given up until its next change or
	// resync; -1, the default, is unlimited.
	MaxRetries int
	// InitialDelay is the delay before the first retry; each further one doubles it. Default: 5ms.
	InitialDelay time.Duration
	// MaxDelay bounds the delay. Default: 5m.
	MaxDelay time.Duration
}
