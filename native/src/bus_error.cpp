#include "export.h"
#include "fiddler_experts.h"

#ifdef _WIN32
extern "C" void fk_say_bus_error(const char *) {}
#else

#include <csignal>
#include <cstring>
#include <unistd.h>

namespace {

char line[512];
size_t length;
struct sigaction before;

void say(int, siginfo_t *info, void *) {
  // Of memory that is no longer there; nothing else may be called in a handler.
  if (info->si_code == BUS_ADRERR && write(STDERR_FILENO, line, length) < 0) length = 0;
  sigaction(SIGBUS, &before, nullptr); // the read is repeated, and ends the process as it would have
}

} // namespace

FK_API void fk_say_bus_error(const char *text) {
  struct sigaction action = {};
  action.sa_sigaction = say;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  if (length == 0) sigaction(SIGBUS, &action, &before);
  length = strnlen(text, sizeof line);
  memcpy(line, text, length);
}
#endif
