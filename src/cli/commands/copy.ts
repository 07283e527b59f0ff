import { copyCommand } from "../copy-command.ts";

export const command = copyCommand(
  "copy",
  "Copy files and directories into a working container",
  [
    "A directory's content is copied, not the directory. With one path and no destination, it goes to the container's working directory. The digest of what was copied is printed.",
  ],
  [
    "cooper copy work ./app /usr/local/bin/app",
    "cooper copy --chown nobody --chmod 0640 work app.conf /etc/app/",
    "cooper copy --from localhost/builder work /out /usr",
  ],
);
