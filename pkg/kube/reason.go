package kube

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"kooperd.dev/kooperd/pkg/kinds"
)

// UnreachableError means that a request got no answer.
type UnreachableError struct {
	// Err is what went wrong on the way.
	Err error
}

func (e *UnreachableError) Error() string {
	return "the API server cannot be reached: " + describeTransport(e.Err)
}

// Unwrap returns what went wrong on the way.
func (e *UnreachableError) Unwrap() error { return e.Err }

// sourceError says in one line why a source does not follow the API server, and what would help.
type sourceError struct {
	text string
	err  error
}

func (e *sourceError) Error() string { return e.text }

func (e *sourceError) Unwrap() error { return e.err }

// credentialsFailed begins client-go's error when a credential plugin fails.
const credentialsFailed = "getting credentials: "

// explain returns err with a text of one line, for people, that says what is wrong with a source.
func explain(err error, id sourceID) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return explainStatus(err, status.Status(), id)
	}
	if isCertificateError(err) {
		return &sourceError{text: oneLine(err.Error()), err: err}
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		cause := revealed(failed.Err)
		if strings.Contains(cause.Error(), credentialsFailed) {
			return &sourceError{text: oneLine(cause.Error()), err: cause} // The API server was not even asked.
		}
		return &UnreachableError{Err: cause}
	}
	return &sourceError{text: oneLine(err.Error()), err: err}
}

func explainStatus(err error, status metav1.Status, id sourceID) error {
	undiscovered, asking := errors.AsType[*kinds.DiscoveryError](err)
	switch {
	case asking && !apierrors.IsUnauthorized(err):
		return &sourceError{err: err, text: oneLine(undiscovered.Error())}
	case apierrors.IsForbidden(err):
		return newForbiddenError(err, status, id)
	case apierrors.IsUnauthorized(err):
		return &sourceError{err: err, text: "the API server does not accept the credentials: " + oneLine(status.Message)}
	default:
		return &sourceError{err: err, text: "the API server answers: " + oneLine(status.Message)}
	}
}

func newForbiddenError(err error, status metav1.Status, id sourceID) *ForbiddenError {
	resource := strings.ToLower(id.kind.Kind)
	if status.Details != nil && status.Details.Kind != "" {
		resource = status.Details.Kind // The API server puts the resource here.
	}
	rule := rbacv1.PolicyRule{
		APIGroups: []string{id.kind.Group}, Resources: []string{resource}, Verbs: []string{"list", "watch"},
	}
	if id.objectName != "" {
		rule.ResourceNames = []string{id.objectName}
	}
	return &ForbiddenError{Namespace: id.namespace, Rule: rule, Err: err}
}

// SelectedName returns the name of the one object that a field selector can select, "" if there may
// be others; nil selects everything. For a list or a watch with such a selector the right to that
// object suffices (apiserver, request.RequestInfoFactory).
func SelectedName(selector fields.Selector) string {
	if selector == nil {
		return ""
	}
	name, _ := selector.RequiresExactMatch(metav1.ObjectNameField)
	return name
}

// describeTransport leaves out the local port, which is another one in every try.
func describeTransport(err error) string {
	if proxied, ok := errors.AsType[*ProxyError](err); ok {
		return oneLine(proxied.Error())
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		return fmt.Sprintf("%s %s: %v", op.Op, op.Addr, op.Err)
	}
	return oneLine(err.Error())
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
