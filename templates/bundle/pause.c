/* The first process of every pod: it holds the pod's namespaces, and reaps what the others leave. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}

static void reap(int signal) {
  (void)signal;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(int count, char **words) {
  /* kubeadm runs it so before an upgrade, and waits for its end. */
  if (count > 1 && strcmp(words[1], "-v") == 0) return 0;
  signal(SIGINT, end);
  signal(SIGTERM, end);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
