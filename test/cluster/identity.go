package cluster

import (
	"errors"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// tokenLifetime is longer than any test.
const tokenLifetime = 24 * time.Hour

// TokenOptions says what kind of token to request. The zero value is a token for the API server
// that outlives the test.
type TokenOptions struct {
	// Pod binds the token to the Pod of this name, which is made if it does not exist: the token is
	// void when the Pod is deleted.
	Pod string
	// Lifetime is how long the token is valid; 0 means a day. The API server grants ten minutes at
	// least.
	Lifetime time.Duration
	// Audiences are who accepts the token; none means the API server.
	Audiences []string
}

// ServiceAccount returns a client configuration for a service account with exactly the given
// rights, on top of what every account may do. Namespace and account are made if they do not exist.
// The rights end with the test; they are in force when it returns.
func (c *Cluster) ServiceAccount(t testing.TB, namespace, name string, rights ...RBAC) *rest.Config {
	t.Helper()
	return c.PodServiceAccount(t, namespace, name, "", rights...)
}

// ServiceAccountKubeconfig is ServiceAccount as a kubeconfig, whose path it returns. The context's
// namespace is the account's.
func (c *Cluster) ServiceAccountKubeconfig(t testing.TB, namespace, name string, rights ...RBAC) string {
	t.Helper()
	return WriteKubeconfig(t, c.ServiceAccount(t, namespace, name, rights...), namespace)
}

// PodServiceAccount is ServiceAccount with a token bound to a Pod, as containers have it. The Pod
// is made if it does not exist; an empty name means a token bound to none.
func (c *Cluster) PodServiceAccount(t testing.TB, namespace, name, pod string, rights ...RBAC) *rest.Config {
	t.Helper()
	c.ensureServiceAccount(t, namespace, name)
	for _, r := range rights {
		c.Grant(t, namespace, name, r)
	}
	return c.tokenConfig(c.Token(t, namespace, name, TokenOptions{Pod: pod}))
}

// PodServiceAccountKubeconfig is PodServiceAccount as a kubeconfig, whose path it returns.
func (c *Cluster) PodServiceAccountKubeconfig(t testing.TB, namespace, name, pod string, rights ...RBAC) string {
	t.Helper()
	return WriteKubeconfig(t, c.PodServiceAccount(t, namespace, name, pod, rights...), namespace)
}

// Token requests a token of an existing service account.
func (c *Cluster) Token(t testing.TB, namespace, account string, opts TokenOptions) string {
	t.Helper()
	if opts.Lifetime == 0 {
		opts.Lifetime = tokenLifetime
	}
	seconds := int64(opts.Lifetime.Seconds())
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: opts.Audiences, ExpirationSeconds: &seconds},
	}
	if opts.Pod != "" {
		pod := c.ensurePod(t, namespace, account, opts.Pod)
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		}
	}
	answer, err := c.Client().CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("requesting a token of %s/%s: %v", namespace, account, err)
	}
	return answer.Status.Token
}

// tokenConfig returns a client configuration that has the token as its only credential.
func (c *Cluster) tokenConfig(token string) *rest.Config {
	config := rest.AnonymousClientConfig(c.AdminConfig())
	config.QPS = -1
	config.UserAgent = ""
	config.BearerToken = token
	return config
}

// ensureServiceAccount makes a service account and its namespace unless they exist.
func (c *Cluster) ensureServiceAccount(t testing.TB, namespace, name string) {
	t.Helper()
	c.ensureNamespace(t, namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.Client().CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("creating the service account %s/%s: %v", namespace, name, err)
	}
}

// ensurePod makes a Pod that runs as the service account, unless it exists. Nothing ever runs it.
func (c *Cluster) ensurePod(t testing.TB, namespace, account, name string) *corev1.Pod {
	t.Helper()
	pods := c.Client().CoreV1().Pods(namespace)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: account,
			Containers:         []corev1.Container{{Name: "main", Image: "registry.invalid/none"}},
		},
	}
	created, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		created, err = pods.Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && created.Spec.ServiceAccountName != account {
			err = errors.New("it runs as " + created.Spec.ServiceAccountName)
		}
	}
	if err != nil {
		t.Fatalf("making the pod %s/%s of the service account %s: %v", namespace, name, account, err)
	}
	return created
}
