package kinds

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// NotServedError means that a kind, a resource, a subresource or a verb does not exist.
type NotServedError struct {
	// What does not exist, for example "kind Widget of example.com/v1".
	What string
	// By is who does not have it: an API server, a CustomResourceDefinition, or Kubernetes itself,
	// so that no API server can have it.
	By Authority
	// Hint says what may be meant instead, for example `did you mean "pods"?`. It may be empty.
	Hint string
}

// Authority is who says that something does not exist.
type Authority int

const (
	// APIServer has been asked. Its answer may be another one later.
	APIServer Authority = iota
	// Kubernetes itself does not have it.
	Kubernetes
	// Definition is a CustomResourceDefinition from a file.
	Definition
)

func (e *NotServedError) Error() string {
	if e.Hint == "" {
		return e.Reason()
	}
	return e.Reason() + "; " + e.Hint
}

// Reason is the error without the hint.
func (e *NotServedError) Reason() string {
	switch e.By {
	case Kubernetes:
		return "Kubernetes has no " + e.What
	case Definition:
		return "the given CustomResourceDefinition does not serve " + e.What
	default:
		return "the API server does not serve " + e.What
	}
}

// UnknownError means that a Table does not have a kind or a resource. An API server may have it.
type UnknownError struct {
	// Question asks for what is missing, without the question mark.
	Question string
}

func (e *UnknownError) Error() string {
	return e.Question + "? Give its CustomResourceDefinition with --crds, or ask the cluster with --live"
}

// NotWatchableError means that objects of a kind cannot be both listed and watched.
type NotWatchableError struct {
	// Kind is the kind.
	Kind schema.GroupVersionKind
	// Listable is set if they can at least be listed.
	Listable bool
}

func (e *NotWatchableError) Error() string {
	if e.Listable {
		return describeKind(e.Kind) + " can be listed but not watched"
	}
	return describeKind(e.Kind) + " can neither be listed nor watched"
}

// ScopeError means that namespaces are named for a kind that has none.
type ScopeError struct {
	// Kind is the kind.
	Kind schema.GroupVersionKind
}

func (e *ScopeError) Error() string {
	return fmt.Sprintf("kind %s is cluster-scoped: remove watch.namespaces", e.Kind.Kind)
}

// DiscoveryError means that an API server did not say what it serves of a group.
type DiscoveryError struct {
	// Of is the group, with its version where one was asked for.
	Of string
	// Err is the reason: what the API server answers, or why it cannot be reached.
	Err error
}

func (e *DiscoveryError) Error() string {
	var status apierrors.APIStatus
	answered := errors.As(e.Err, &status)
	switch {
	case apierrors.IsForbidden(e.Err):
		return fmt.Sprintf("forbidden to ask which kinds of %s there are; a ClusterRoleBinding to the ClusterRole "+
			"system:discovery is missing", e.Of)
	case answered:
		return fmt.Sprintf("asking the API server for the kinds of %s: the API server answers: %s", e.Of, statusText(status.Status()))
	default:
		return fmt.Sprintf("asking the API server for the kinds of %s: %v", e.Of, e.Err)
	}
}

// Unwrap returns the reason.
func (e *DiscoveryError) Unwrap() error { return e.Err }

// statusText is the message of a status with the text that came in its place: an aggregated API
// that is down sends no status.
func statusText(status metav1.Status) string {
	var text strings.Builder
	text.WriteString(status.Message)
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Type == metav1.CauseTypeUnexpectedServerResponse && cause.Message != "" && cause.Message != "unknown" {
				text.WriteString(" (" + cause.Message + ")")
			}
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

// IsAnswer reports whether err answers a question about a kind or a resource, and is not a failure
// to ask. Of several errors that were joined, all have to be answers.
func IsAnswer(err error) bool {
	if several, ok := errors.AsType[joined](err); ok {
		return !slices.ContainsFunc(several.Unwrap(), func(e error) bool { return !IsAnswer(e) })
	}
	_, scope := errors.AsType[*ScopeError](err)
	_, unwatchable := errors.AsType[*NotWatchableError](err)
	return IsNotServed(err) || IsUnknown(err) || scope || unwatchable
}

// IsNotServed reports whether err says that something does not exist.
func IsNotServed(err error) bool {
	_, ok := errors.AsType[*NotServedError](err)
	return ok
}

// IsUnknown reports whether err says that a Table does not have something, which an API server may
// have.
func IsUnknown(err error) bool {
	_, ok := errors.AsType[*UnknownError](err)
	return ok
}

// IsOutOfService reports whether err is the answer of an API server that it cannot, or does not
// want to, say what it serves of one group. Other groups can be asked for.
func IsOutOfService(err error) bool {
	_, discovering := errors.AsType[*DiscoveryError](err)
	return discovering && (apierrors.IsServiceUnavailable(err) || apierrors.IsForbidden(err))
}

// joined is what errors.Join makes.
type joined interface {
	error
	Unwrap() []error
}

// describeKind names a kind in a sentence.
func describeKind(kind schema.GroupVersionKind) string {
	return fmt.Sprintf("kind %s of %s", kind.Kind, kind.GroupVersion())
}

// describeResource names a resource in a sentence.
func describeResource(resource schema.GroupResource) string {
	return fmt.Sprintf("resource %s in %s", resource.Resource, describeGroup(resource.Group))
}

func describeGroup(group string) string {
	if group == "" {
		return "the core group"
	}
	return "group " + group
}

// fold removes what spellings of names differ in.
func fold(name string) string { return strings.ToLower(name) }
