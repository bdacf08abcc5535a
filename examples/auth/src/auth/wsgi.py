"""What gunicorn serves."""

from auth.service import create_app
from auth.settings import read_settings

app = create_app(read_settings())
