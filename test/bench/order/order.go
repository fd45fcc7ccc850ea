// Package order is what the benchmark and the programs that it measures say to each other: the
// order, which a program is started with, and its reports, one line of JSON each on the standard
// output. It does no other work, and it is the same code in every program, so that what it
// costs is in all figures alike.
//
//	o, err := order.FromEnv()
//	tally := order.NewTally(o, os.Stdout)
package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Env is the environment variable that holds an order as JSON.
const Env = "KOOPERD_BENCH_ORDER"

// View is how a program sees objects.
type View string

// The views.
const (
	// Typed objects are whole, and decoded into their Go type where the program keeps them decoded.
	Typed View = "typed"
	// Metadata is all that is fetched.
	Metadata View = "metadata"
	// Unstructured objects are whole, of a kind without a Go type.
	Unstructured View = "unstructured"
	// Watch is no cache at all but the bare watch of a client, from now on.
	Watch View = "watch"
)

// Work is what a handler does with an object besides calling the tally.
type Work string

// The kinds of work.
const (
	// Nothing is done.
	Nothing Work = "nothing"
	// Decode gets the object in its Go type, as the handler's own copy.
	Decode Work = "decode"
	// Stamp notes when a change that carries the time when it was due has come to the handler.
	Stamp Work = "stamp"
	// Compose makes the children of the object, keeps them right, and writes its status.
	Compose Work = "compose"
)

// Graph is what children of an object are made of, and its status.
type Graph string

// The graphs.
const (
	// Parts are the children that Compose makes. The status says what the first of them says.
	Parts Graph = "parts"
	// Single is the first child of Parts alone, and the same status.
	Single Graph = "single"
	// Chain is children of which each but the first has the UID of the one before. The status has
	// that of the last.
	Chain Graph = "chain"
	// Answer is two children. The second one has a value that another party writes into the first
	// one, and the status has it as well.
	Answer Graph = "answer"
)

// Annotation is the one that a change carries the time in when it was due to be sent, as
// nanoseconds since 1970; 0 is not counted.
const Annotation = "bench.kooperd.dev/sent"

// Kind is one kind of objects.
type Kind struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Kind     string `json:"kind"`
	Resource string `json:"resource"`
}

// GVK returns group, version and kind.
func (k Kind) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

// GVR returns group, version and resource.
func (k Kind) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

// Order is what a program has to do.
type Order struct {
	// Kinds are watched; the definitions are dealt over them in turn.
	Kinds []Kind `json:"kinds"`
	// Definitions is how many handlers there are.
	Definitions int `json:"definitions"`
	// Objects is how many objects each of them has to handle before the program reports; 0 means
	// that it never does.
	Objects int `json:"objects"`
	// View and Work say what a handler gets and does.
	View View `json:"view"`
	Work Work `json:"work"`
	// Namespaces are what the definitions of kooperd watch, one each, dealt over them in turn; none
	// means all.
	Namespaces []string `json:"namespaces"`
	// Failing is for how many objects of each definition of kooperd the calls fail. They are tried
	// again after an hour.
	Failing int `json:"failing"`
	// Takes is how long each call lasts in addition.
	Takes time.Duration `json:"takes"`
	// Workers is how many objects each definition handles at a time when it makes children; 0 means
	// one.
	Workers int `json:"workers"`
	// Graph is what templates make of an object, for the programs that have templates.
	Graph Graph `json:"graph"`
	// Hook is the URL of the hook that says what the children are, for the program that asks one;
	// empty means that there is none.
	Hook string `json:"hook"`
	// Extra is one more text in every child; mostly there is none.
	Extra string `json:"extra"`
	// Repair is whether a bare client also watches the children that it has made. Others always do.
	Repair bool `json:"repair"`
	// Resync is the period of handling everything again; 0 means never.
	Resync time.Duration `json:"resync"`
	// LeaseNamespace is where the lease is that the program has to hold; empty means that it needs
	// none.
	LeaseNamespace string `json:"leaseNamespace"`
	// Metrics is the address to serve /metrics at. A bare informer has none.
	Metrics string `json:"metrics"`
	// Health is the address at which kooperd serves its status page; empty for any.
	Health string `json:"health"`
	// Contention is whether kooperd serves profiles at Metrics, among them one of who waits for
	// locks.
	Contention bool `json:"contention"`
	// Samples is the file that gets the times of stamped changes at the end; empty means none.
	Samples string `json:"samples"`
	// CPUProfile and HeapProfile are files for profiles up to, and at, the moment of the report;
	// empty means none.
	CPUProfile  string `json:"cpuProfile"`
	HeapProfile string `json:"heapProfile"`
}

// Report says that every definition has handled every object.
type Report struct {
	// At is when the last one was handled.
	At time.Time `json:"at"`
	// CPU is what the process has used until then, in user and system mode.
	CPU time.Duration `json:"cpu"`
	// Decoding is what handlers have used of it for getting the object in its Go type.
	Decoding time.Duration `json:"decoding"`
}

// Sample is one stamped change.
type Sample struct {
	// Definition is the number of the handler that it came to.
	Definition int `json:"definition"`
	// Sent is when it was due to be sent to the API server, Entered when the handler was called,
	// Done when it had returned: each in nanoseconds since 1970.
	Sent    int64 `json:"sent"`
	Entered int64 `json:"entered"`
	Done    int64 `json:"done"`
}

// FromEnv returns the order that the process was started with.
func FromEnv() (Order, error) {
	text, ok := os.LookupEnv(Env)
	if !ok {
		return Order{}, errors.New("reading the order: " + Env + " is not set")
	}
	var o Order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return Order{}, fmt.Errorf("reading the order: %w", err)
	}
	return o, nil
}

// KindOf returns the kind that a definition watches.
func (o Order) KindOf(definition int) Kind { return o.Kinds[definition%len(o.Kinds)] }

// Name is the name of a definition.
func Name(definition int) string { return fmt.Sprintf("d-%d", definition) }

// Definition is the number of the definition that is called name.
func Definition(name string) (int, error) {
	var n int
	if _, err := fmt.Sscanf(name, "d-%d", &n); err != nil {
		return 0, fmt.Errorf("reading the name %q of a definition: %w", name, err)
	}
	return n, nil
}
