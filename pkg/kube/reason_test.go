package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

func TestDescribe(t *testing.T) {
	forbidden := func(group, resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: group, Resource: resource}, "", errors.New("no RBAC policy matched"))
	}
	unreachable := func(err error) error {
		return fmt.Errorf("failed to list *v1.Pod: %w", &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/api/v1/pods?limit=500", Err: err})
	}
	refused := &net.OpError{
		Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6443},
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
	reset := &net.OpError{
		Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6443},
		Source: &net.TCPAddr{IP: net.IPv4(10, 1, 1, 1), Port: 54321}, Err: os.NewSyscallError("read", syscall.ECONNRESET),
	}
	pods := sourceID{kind: podKind}
	tests := map[string]struct {
		err  error
		id   sourceID
		want string
	}{
		"forbidden everywhere": {
			forbidden("", "pods"), pods,
			`forbidden to list and watch pods in all namespaces; a ClusterRole with this rule is missing: {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`,
		},
		"forbidden in a namespace": {
			fmt.Errorf("failed to list: %w", forbidden("example.com", "widgets")), sourceID{kind: widgetKind, namespace: "payments"},
			`forbidden to list and watch widgets in namespace payments; a Role of namespace payments with this rule is missing: {apiGroups: ["example.com"], resources: ["widgets"], verbs: ["list", "watch"]}`,
		},
		"forbidden by a webhook that does not say what": {
			&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden}}, pods,
			`forbidden to list and watch pod in all namespaces; a ClusterRole with this rule is missing: {apiGroups: [""], resources: ["pod"], verbs: ["list", "watch"]}`,
		},
		"discovery forbidden": {
			&kinds.DiscoveryError{Of: "example.com/v1", Err: forbidden("", "")}, sourceID{kind: widgetKind},
			"forbidden to ask which kinds of example.com/v1 there are; a ClusterRoleBinding to the ClusterRole system:discovery is missing",
		},
		"an aggregated API that is down": {
			&kinds.DiscoveryError{Of: "example.com/v1", Err: apierrors.NewServiceUnavailable("service unavailable")}, sourceID{kind: widgetKind},
			"asking the API server for the kinds of example.com/v1: the API server answers: service unavailable",
		},
		"not authenticated": {
			apierrors.NewUnauthorized("token has\nexpired"), pods,
			"the API server does not accept the credentials: token has expired",
		},
		"bad selector": {
			apierrors.NewBadRequest("unable to parse requirement"), pods,
			"the API server answers: unable to parse requirement",
		},
		"out of service": {
			apierrors.NewServiceUnavailable("etcd is down"), pods,
			"the API server answers: etcd is down",
		},
		"connection refused": {
			unreachable(refused), pods,
			"the API server cannot be reached: dial 10.0.0.1:6443: connect: connection refused",
		},
		"reset, without the port that changes with each try": {
			unreachable(connectionError{reset}), pods,
			"the API server cannot be reached: read 10.0.0.1:6443: read: connection reset by peer",
		},
		"discovery unreachable": {
			&kinds.DiscoveryError{Of: "example.com/v1", Err: unreachable(context.DeadlineExceeded)}, pods,
			"the API server cannot be reached: context deadline exceeded",
		},
		"connection closed": {
			unreachable(connectionError{io.EOF}), pods,
			"the API server cannot be reached: EOF",
		},
		"no name": {
			unreachable(&net.DNSError{Err: "no such host", Name: "api.example.com"}), pods,
			"the API server cannot be reached: lookup api.example.com: no such host",
		},
		"anything else, in one line": {
			errors.New("decoding:\n\tunexpected byte"), pods,
			"decoding: unexpected byte",
		},
		"cut watch": {
			errCutWatch, pods,
			"the API server, or a proxy before it, cuts off every watch at once",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := explain(tc.err, tc.id).Error(); got != tc.want {
				t.Errorf("describe:\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}
