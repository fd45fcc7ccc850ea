package kube

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// describe says in one line why a source does not follow the API server, and what would help.
func describe(err error, id sourceID) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return describeStatus(err, status.Status(), id)
	}
	if unreachable, ok := errors.AsType[*url.Error](err); ok {
		return "the API server cannot be reached: " + describeTransport(unreachable.Err)
	}
	return oneLine(err.Error())
}

func describeStatus(err error, status metav1.Status, id sourceID) string {
	discovery, asking := errors.AsType[*discoveryError](err)
	switch {
	case asking && apierrors.IsForbidden(err):
		return fmt.Sprintf("forbidden to ask which kinds of %s there are; a ClusterRoleBinding to the ClusterRole system:discovery is missing",
			discovery.version)
	case apierrors.IsForbidden(err):
		return describeForbidden(status, id)
	case apierrors.IsUnauthorized(err):
		return "the API server does not accept the credentials: " + oneLine(status.Message)
	default:
		return "the API server answers: " + oneLine(status.Message)
	}
}

// describeForbidden names the rule that is missing in the form that one pastes into a Role or ClusterRole.
func describeForbidden(status metav1.Status, id sourceID) string {
	resource := strings.ToLower(id.kind.Kind)
	if status.Details != nil && status.Details.Kind != "" {
		resource = status.Details.Kind // The API server puts the resource here.
	}
	where, role := "in all namespaces", "a ClusterRole"
	if id.namespace != "" {
		where, role = "in namespace "+id.namespace, "a Role of namespace "+id.namespace
	}
	what, names := resource, ""
	if name := SelectedName(id.fieldSelector); name != "" {
		what, names = resource+" "+name, fmt.Sprintf("resourceNames: [%q], ", name)
	}
	return fmt.Sprintf(`forbidden to list and watch %s %s; %s with this rule is missing: {apiGroups: [%q], resources: [%q], %sverbs: ["list", "watch"]}`,
		what, where, role, id.kind.Group, resource, names)
}

// SelectedName returns the name of the one object that a field selector can select, "" if there may be others. For a list or a
// watch with such a selector the right to that object suffices (apiserver, request.RequestInfoFactory).
func SelectedName(fieldSelector string) string {
	selector, err := fields.ParseSelector(fieldSelector)
	if err != nil {
		return ""
	}
	name, _ := selector.RequiresExactMatch(metav1.ObjectNameField)
	return name
}

// describeTransport leaves out the local port, which is another one in every try.
func describeTransport(err error) string {
	if failed, ok := errors.AsType[connectionError](err); ok {
		err = failed.hidden
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		return fmt.Sprintf("%s %s: %v", op.Op, op.Addr, op.Err)
	}
	return oneLine(err.Error())
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
