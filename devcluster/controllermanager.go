package main

import (
	"fmt"
	"strings"
)

// controllers are the controllers that make the API behave like a cluster's: owner references,
// namespaces, service accounts with their tokens and CA bundle, aggregated roles, quotas, and
// protection and status of what users declare. The ones that need nodes or make Pods are left out;
// --controller-manager-arg controllers=* brings them in.
func controllers() []string {
	return []string{
		"clusterrole-aggregation-controller",
		"garbage-collector-controller",
		"namespace-controller",
		"resourcequota-controller",
		"root-ca-certificate-publisher-controller",
		"serviceaccount-controller",
		"serviceaccount-token-controller",
		"validatingadmissionpolicy-status-controller",
	}
}

// controllerManagerFlags returns the command line of kube-controller-manager.
func controllerManagerFlags(l layout, p ports, opts options) []string {
	return mergeArgs([]string{
		"kubeconfig=" + l.controllerManagerKubeconfig(),
		"bind-address=127.0.0.1",
		fmt.Sprintf("secure-port=%d", p.ControllerManager),
		"tls-cert-file=" + l.certFile(servingCert),
		"tls-private-key-file=" + l.keyFile(servingCert),
		"leader-elect=false",
		"controllers=" + strings.Join(controllers(), ","),
		"service-account-private-key-file=" + l.keyFile(serviceAccountKey),
		"root-ca-file=" + l.certFile(caCert),
		// A test that makes thousands of objects should wait for the API server, not for this
		// client.
		"kube-api-qps=1000",
		"kube-api-burst=2000",
	}, opts.controllerManagerArgs)
}
